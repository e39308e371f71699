"""Everything that can go wrong, in one tree.

OsteoLensError
├── InputError                 a request cannot be answered; becomes an error answer with an HTTP status
│   ├── EmptyInput             400 empty_body
│   ├── UnreadableImage        400 unreadable_image
│   ├── InvalidOption          400 invalid_option
│   ├── InputTooLarge          413 too_large
│   ├── TooCostly              413 too_costly
│   ├── UnsupportedType        415 unsupported_type
│   ├── UnusableImage          422 unusable_image
│   ├── rows.FilmRefused        200, the code of its first reason: a picture that is no film which the model can read
│   ├── ExplanationMissing     501 explanation_not_installed
│   └── ExplanationNotReady    503 explanation_not_ready; carries the seconds to wait
├── CardError                  a model card or the weights beside it do not fit
├── DataError                  a training table, folder or configuration is wrong
│   └── LeakFound              the audit of a study found what would make its figures worthless
├── TrainingError              training cannot go on (a loss that is not finite)
├── ExportError                an exported file does not give the model's answers
├── BatchError                 the call, the output folder or this machine stops a batch
│   ├── FolderInUse            another batch writes to this output folder
│   ├── OtherBatch             the output folder holds a batch of other models or options
│   ├── ModelChanged           the server answers with another model than before
│   └── ServerRefuses          the server refuses the key, or does not have the model
├── BenchmarkError             a benchmark cannot measure what its options name
├── ServerError                TorchServe cannot be started, or its archives do not fit their checksums
└── ClientError                talking to a server failed
    ├── ServerUnreachable      no answer from this address
    └── RequestRefused         the server answered with an error; carries status, code and hint
"""

from typing import ClassVar


class OsteoLensError(Exception):
    """Base of all errors that OsteoLens raises on purpose; the message is meant to be shown as it is."""


def in_words(error: Exception) -> str:
    """An error's message; the operating system's without its number and the file, which the reader knows."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return (isinstance(error, OSError) and error.strerror) or str(error)


class InputError(OsteoLensError):
    """A request cannot be answered.

    Args:
        message: The fault, in one sentence.
        hint: What to send instead, with an example of a valid value.
    """

    code: str = "invalid_input"
    status: ClassVar[int] = 400

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class EmptyInput(InputError):
    """Zero bytes."""

    code = "empty_body"


class UnreadableImage(InputError):
    """A supported picture format whose content cannot be decoded."""

    code = "unreadable_image"


class InvalidOption(InputError):
    """A request option has a value that is not allowed."""

    code = "invalid_option"


class InputTooLarge(InputError):
    """More bytes or more pixels than the limits allow."""

    code = "too_large"
    status = 413


class TooCostly(InputError):
    """A picture within the limits of size whose structure would keep a processor busy for longer than allowed."""

    code = "too_costly"
    status = 413


class UnsupportedType(InputError):
    """The bytes are something other than a supported still picture."""

    code = "unsupported_type"
    status = 415


class UnusableImage(InputError):
    """A picture that decodes but cannot be a film: blank, or far too small."""

    code = "unusable_image"
    status = 422


class ExplanationMissing(InputError):
    """An explanation that needs packages which are not installed."""

    code = "explanation_not_installed"
    status = 501


class ExplanationNotReady(InputError):
    """An explanation whose packages are being installed.

    Attributes:
        retry_after: Seconds until it is probably there.
    """

    code = "explanation_not_ready"
    status = 503

    def __init__(self, message: str, hint: str, retry_after: int) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class CardError(OsteoLensError):
    """A model card cannot be read, or does not belong to the weights beside it."""


class DataError(OsteoLensError):
    """A table, folder or configuration for training is wrong."""


class LeakFound(DataError):
    """Films or patients would be on both sides of a split."""


class TrainingError(OsteoLensError):
    """Training cannot go on."""


class ExportError(OsteoLensError):
    """An export does not reproduce the model it came from."""


class BatchError(OsteoLensError):
    """A batch cannot be run, or cannot go on, until what the message says is fixed."""


class FolderInUse(BatchError):
    """Two batches must not write to one folder."""


class OtherBatch(BatchError):
    """The output folder holds answers to other options or of other models."""


class ModelChanged(BatchError):
    """Answers of two versions of a model must not be mixed."""


class ServerRefuses(BatchError):
    """An error that concerns every film: the key, the address, the model's name."""


class BenchmarkError(OsteoLensError):
    """A benchmark cannot be run, or its figures cannot be compared."""


class ServerError(OsteoLensError):
    """TorchServe cannot be started."""


class ClientError(OsteoLensError):
    """Talking to a server failed."""


class ServerUnreachable(ClientError):
    """No answer came from the address."""


class RequestRefused(ClientError):
    """The server answered with an error.

    Args:
        status: HTTP status.
        code: The `error.code` of the answer, or `http_<status>` where the server gave no error object.
        message: The server's message.
        hint: The server's hint.
    """

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
