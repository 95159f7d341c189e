"""Storeyard under random use and random harm, and whether everything is true in the end."""
