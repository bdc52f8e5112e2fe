"""Read a page as a browser would: elements, their attributes and text."""

from html.parser import HTMLParser


class Markup(HTMLParser):
    """The elements of a page in order, as (tag, attributes), and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of that tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def value(self, name: str) -> str | None:
        """The value of the first form field of that name."""
        return next((field.get("value") for field in self.all("input") if field.get("name") == name), None)
