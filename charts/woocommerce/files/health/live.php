<?php
// Alive means that Apache runs PHP. Not the database: restarting the web server cures no database.
header('Content-Type: text/plain');
echo "ok\n";
