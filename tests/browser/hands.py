"""What a reader's hands do to a page: move every control of every explorer, press Validate."""

SEEN = "canvas => canvas.toDataURL() + canvas.parentElement.querySelector('.alt').textContent"


def drive(page):
    """Move each control of each explorer and see its picture follow; how many explorers there were."""
    explorers = page.locator("section.rnn-explorer").all()
    for explorer in explorers:
        explorer.scroll_into_view_if_needed()
        explorer.locator("canvas[data-drawn]").wait_for()
        controls = explorer.locator("form input, form select")
        assert controls.count()
        for control in controls.all():
            assert follows(explorer, control) or follows_under_a_choice(explorer, control), control.get_attribute("id")
    return len(explorers)


def follows_under_a_choice(explorer, control):
    """Whether it does so under the last option of a choice: a text of one's own is shown where one asks for it."""
    for choice in explorer.locator("form select").all():
        chosen = choice.input_value()
        choice.select_option(index=choice.locator("option").count() - 1)
        explorer.page.wait_for_timeout(1000)
        followed = follows(explorer, control)
        choice.select_option(chosen)  # the next control starts from where this one did
        explorer.page.wait_for_timeout(1000)
        if followed:
            return True
    return False


def follows(explorer, control):
    """Whether a few moves of a control change the picture or what is said below it; none may end in an error."""
    canvas = explorer.locator("canvas")
    before = picture = canvas.evaluate(SEEN)
    for press in moves(control):
        number = canvas.get_attribute("data-drawn")
        press()
        for _ in range(40):
            if canvas.get_attribute("data-drawn") != number:
                break
            explorer.page.wait_for_timeout(50)
        assert not explorer.locator("[role=alert]").text_content()
        picture = canvas.evaluate(SEEN)
        if picture != before:
            break
    return picture != before


def moves(control):
    """How a reader moves a control, a few times."""
    kind = control.get_attribute("type") or "select"
    if kind == "range":
        at_the_end = control.evaluate("c => Number(c.value) >= Number(c.max)")
        return [lambda: control.press("ArrowLeft" if at_the_end else "ArrowRight")] * 6
    if kind == "checkbox":
        return [control.click]
    if kind == "text":
        texts = ("31", "1066") if control.input_value().isdigit() else ("another", "more")
        return [lambda text=text: control.fill(text) for text in texts]
    others = control.evaluate("c => [...c.options].map((o) => o.value).filter((value) => value !== c.value)")
    return [lambda value=value: control.select_option(value) for value in others]


def validate(notebook):
    """Press nbgrader's Validate button and read its answer."""
    page = notebook.page
    page.get_by_role("button", name="Validate").first.click()
    dialog = page.locator(".jp-Dialog-content")
    dialog.wait_for(timeout=90_000)
    text = dialog.inner_text()
    page.keyboard.press("Escape")
    return text
