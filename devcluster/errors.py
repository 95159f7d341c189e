"""The one exception a person sees: a sentence, with what to do next."""


class DevClusterError(Exception):
    pass
