// Make one element like another by the fewest changes, so that focus, scrolling and what a screen reader reads stay.

/** Change `now` (in the page) until it equals `next` (from a fetched document). Children with an id keep their node. */
export function morph(now, next) {
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && name !== "open" && name !== "hidden") now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  let at = now.firstChild;
  for (const child of [...next.childNodes]) {
    let match = at;
    if (child.id) {
      match = [...now.children].find((element) => element.id === child.id) ?? null;
    } else if (match?.id) {
      match = null;
    }
    if (!match || !sameKind(match, child)) {
      now.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (match !== at) now.insertBefore(match, at);
    else at = at.nextSibling;
    if (child.nodeType === Node.ELEMENT_NODE) morph(match, child);
    else if (match.data !== child.data) match.data = child.data;
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}
