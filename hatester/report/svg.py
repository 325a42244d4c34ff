"""SVG, element by element: what is told is escaped, whatever it is."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring

from hatester.util.text import for_xml


def picture(name: str, description: str) -> Element:
    """An SVG element that is one image for who cannot see it."""
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    add(svg, "title", name)
    add(svg, "desc", description)
    return svg


def add(parent: Element, tag: str, text: str | None = None, **attributes: str | float) -> Element:
    """A new last child; `kind` is its class. Numbers are written to a tenth."""
    element = SubElement(parent, tag)
    for name, value in attributes.items():
        written = value if isinstance(value, str) else f"{round(value, 1):g}"
        element.set("class" if name == "kind" else name.replace("_", "-"), for_xml(written))
    if text is not None:
        element.text = for_xml(text)
    return element


def box(parent: Element, left: float, right: float, y: float, height: float) -> Element:
    return add(parent, "rect", x=left, y=y, width=right - left, height=height)


def written(svg: Element, width: float, height: float) -> str:
    """The picture as text, with its size, which only what was drawn decides."""
    svg.set("viewBox", f"0 0 {width:g} {height:g}")
    svg.set("width", f"{width:g}")
    svg.set("height", f"{height:g}")
    return tostring(svg, encoding="unicode")
