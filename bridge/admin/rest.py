"""An id at the end of a path may hold slashes and line breaks: `{id:rest}` takes all of it."""

from starlette.convertors import Convertor, register_url_convertor

REST = "rest"


class _Rest(Convertor[str]):
    """The rest of a path, line breaks included: Starlette's `path` takes none, and a request would miss its route."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor(REST, _Rest())
