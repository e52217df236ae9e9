"""The one exception that a person is meant to read."""


class UserError(ValueError):
    """A mistake that the user can mend: bad file, key, value or command.

    Its message is one line that names the file, line or key at fault and says what to do. The
    command line prints it alone, without a traceback, and exits with code 2.
    """
