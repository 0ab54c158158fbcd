"""What the applications of Python share: named steps, one line of JSON each, going on after a failure."""
import datetime
import decimal
import json
import uuid


def plain(value):
    """Values as JSON has them, with their types where it has none."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime.date, datetime.time, decimal.Decimal, uuid.UUID, float)):
        return type(value).__name__ + " " + str(value)
    return [plain(item) for item in value] if hasattr(value, "__iter__") else str(value)


def code_of(error):
    """SQLSTATE of an error, or of the one that it wraps."""
    for wrapped in (error, getattr(error, "orig", None), error.__cause__):
        for name in ("sqlstate", "pgcode"):
            if getattr(wrapped, name, None):
                return getattr(wrapped, name), str(wrapped).strip()
    return "none", type(error).__name__ + " " + str(error).strip()


def told(step, result=None, error=None):
    """Prints what became of a step."""
    if error is None:
        print(json.dumps({"step": step, "gives": plain(result)}), flush=True)
    else:
        code, message = code_of(error)
        print(json.dumps({"step": step, "code": code, "error": message}), flush=True)


def run(steps, after_failure=lambda: None):
    """Runs functions in their order, named by themselves."""
    for step in steps:
        name = step.__name__.replace("_", " ").strip()
        try:
            told(name, step())
        except Exception as error:  # whatever it is, it is what the application met
            told(name, error=error)
            after_failure()


def error_of(work):
    """The SQLSTATE that a piece of work must end in."""
    try:
        return ["unexpected", plain(work())]
    except Exception as error:
        return code_of(error)[0]
