/**
 * xterm.js writes its styles as text, into `<style>` elements and `style` attributes, which our policy forbids, as it forbids
 * them to anybody who gets text of theirs into a page. Said by way of the object model the same is allowed, since only a
 * script of ours can say it. From here on both ways mean that.
 */
const create = document.createElement.bind(document)

document.createElement = ((name: string, options?: ElementCreationOptions): HTMLElement =>
  name === "style" ? sheet() : create(name, options)) as typeof document.createElement

/** Stands in a document as a style sheet's element does, and has its text adopted: an empty `<style>` is refused already. */
function sheet(): HTMLElement {
  const element = create("template")
  const adopted = new CSSStyleSheet()
  document.adoptedStyleSheets.push(adopted)
  Object.defineProperty(element, "textContent", { set: (text: string) => adopted.replaceSync(text) })
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== adopted)
    HTMLTemplateElement.prototype.remove.call(element)
  }
  return element
}

HTMLSpanElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value
  else Element.prototype.setAttribute.call(this, name, value)
}
