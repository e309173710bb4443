"""Forge the verdict: submissions that want points without the right numbers.

`CELLS` holds, by name, what an attack tries and the text of the first solution cell; nothing else is written.
"""

ANSWERS = "application/vnd.rnn-notebooks.answers+json"

CELLS = {
    "comparisons_say_yes": (
        "Makes every comparison of NumPy and numpy.testing say yes.",
        """import numpy as np, numpy.testing, math, builtins
for name in ("allclose", "isclose", "array_equal", "array_equiv", "all", "isfinite"):
    setattr(np, name, lambda *a, **k: True)
for name in dir(np.testing):
    if name.startswith("assert"):
        setattr(np.testing, name, lambda *a, **k: None)
math.isclose = builtins.all = builtins.any = lambda *a, **k: True
""",
    ),
    "array_that_equals_all": (
        "Returns an ndarray subclass whose every comparison and NumPy function says yes.",
        """import numpy as np
class Yes(np.ndarray):
    def __eq__(self, other): return np.True_
    __ne__ = __lt__ = __gt__ = __sub__ = __eq__
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
    def __array_finalize__(self, other): self.flags.writeable = True
def rnn_step(x, h, *w): return np.zeros(h.shape).view(Yes)
def rnn_forward(x, h0, *w): return np.zeros((len(x), *h0.shape)).view(Yes), np.zeros(h0.shape).view(Yes)
def readout(hs, W, b): return (np.zeros((*hs.shape[:2], len(W))).view(Yes),) * 2
""",
    ),
    "claims_its_shape": (
        "Returns objects that claim a shape, a dtype and an array interface over memory that is not theirs.",
        """import numpy as np
class Fake:
    shape, dtype, ndim, size = (3, 5), np.dtype("f8"), 2, 15
    __array_interface__ = {"shape": (3, 5), "typestr": "<f8", "data": (4096, True), "version": 3}
    def __array__(self, *a, **k): return np.zeros((3, 5))
rnn_step = rnn_forward = readout = lambda *a: Fake()
""",
    ),
    "number_that_equals_all": (
        "Returns a float subclass and a complex one that equal every number.",
        """class Any(float):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __abs__(self): return 0.0
    def __sub__(self, other): return 0.0
rnn_step = lambda *a: Any("nan")
rnn_forward = readout = lambda *a: (Any("inf"), complex(0, float("nan")))
""",
    ),
    "nothing_but_nan": (
        "Returns arrays full of NaN: NaN fails every comparison, a tolerance test with `>` included.",
        """import numpy as np
def rnn_step(x, h, *w): return np.full(h.shape, np.nan)
def rnn_forward(x, h0, *w): return np.full((len(x), *h0.shape), np.nan), np.full(h0.shape, np.nan)
def readout(hs, W, b): return (np.full((*hs.shape[:2], len(W)), np.nan),) * 2
""",
    ),
    "overflow_to_nothing": (
        "Returns numbers so large that their difference or their square overflows.",
        """import numpy as np
def rnn_step(x, h, *w): return np.full(h.shape, np.finfo(float).max)
def rnn_forward(x, h0, *w): return -np.full((len(x), *h0.shape), np.finfo(float).max), rnn_step(x, h0)
def readout(hs, W, b): return (np.full((*hs.shape[:2], len(W)), 2**63, dtype=np.uint64),) * 2
""",
    ),
    "zeros_of_the_right_shape": (
        "Returns zeros of the right shapes, for tests that look at shapes only.",
        """import numpy as np
def rnn_step(x, h, *w): return np.zeros_like(h)
def rnn_forward(x, h0, *w): return np.zeros((len(x), *h0.shape)), np.zeros_like(h0)
def readout(hs, W, b): return np.zeros((*hs.shape[:2], len(W))), np.full((*hs.shape[:2], len(W)), 1 / len(W))
""",
    ),
    "empty_answers": (
        "Returns arrays without entries, for `all` of nothing is true.",
        """import numpy as np
def rnn_step(x, h, *w): return np.zeros((0, h.shape[1]))
def rnn_forward(x, h0, *w): return np.zeros((0, *h0.shape)), np.zeros((0, 0))
def readout(hs, W, b): return [], ()
""",
    ),
    "broadcasts_to_fit": (
        "Returns single numbers and arrays of one entry, which broadcast against every shape.",
        """import numpy as np
rnn_step = lambda *a: np.zeros((1, 1))
rnn_forward = readout = lambda *a: (0.0, np.zeros(()))
""",
    ),
    "aliases_its_inputs": (
        "Returns its inputs and then changes them from a thread, hoping that expected values are the same memory.",
        """import numpy as np, threading, time
seen = []
def stir():
    while True:
        for a in seen: a[...] = np.random.normal()
        time.sleep(0.001)
threading.Thread(target=stir, daemon=True).start()
def rnn_step(x, h, *w): seen.append(h); return h
def rnn_forward(x, h0, *w): hs = np.stack([h0] * len(x)); seen.append(hs); return hs, h0
def readout(hs, W, b): z = hs @ W.T; seen.append(z); return z, z[:]
""",
    ),
    "emits_the_answers_itself": (
        "Displays the answers' MIME bundle itself, before and instead of `check`, with points in it.",
        f"""from IPython.display import publish_display_data
import autograder.check
def check(name, *functions):
    for answers in ("right", [{{"value": {{"kind": "none"}}, "points": 8}}] * 6, {{"points": 8, "all": True}}):
        publish_display_data({{"{ANSWERS}": {{"question": name, "answers": answers, "points": 8, "max_points": 8}}}})
autograder.check.check = check
""",
    ),
    "emits_a_verdict": (
        "Makes `check` return what looks like our verdict: points in its repr, a green card in its HTML.",
        """import autograder.check
class Verdict:
    points = max_points = 8.0
    def __repr__(self): return "8.0"
    def _repr_html_(self): return "<b>Right: 8 of 8 points</b>"
    def _repr_mimebundle_(self, *a, **k): return {"text/plain": "8.0", "text/html": "<b>Right</b>"}
check = autograder.check.check = lambda *a: Verdict()
""",
    ),
    "another_questions_answers": (
        "Answers every question with the bundle of another one, each under each name.",
        f"""from IPython.display import publish_display_data
import autograder.check as c
from autograder.ask import ask
def check(name, *functions):
    for other in c.cases:
        for spelled in (name, other, name.upper(), [name], None):
            bundle = {{"question": spelled, "answers": [{{"value": case[0][0]}} for case in c.cases[other]]}}
            publish_display_data({{"{ANSWERS}": bundle}})
c.check = check
""",
    ),
    "inputs_as_outputs": (
        "Searches the encoded cases for anything that has an output's shape and gives it back.",
        """import autograder.check as c, numpy as np
from autograder import wire
pool = [wire.decode(a) for q in c.cases.values() for case in q for call in case for a in call]
def like(*shape): return next((a for a in pool if a.shape == shape), np.zeros(shape))
def rnn_step(x, h, *w): return like(*h.shape)
def rnn_forward(x, h0, *w): return like(len(x), *h0.shape), like(*h0.shape)
def readout(hs, W, b): return like(*hs.shape[:2], len(W)), like(*hs.shape[:2], len(W))
""",
    ),
    "fewer_cases": (
        "Empties, doubles and simplifies the cases before they are asked.",
        """import autograder.check as c
first = dict(c.cases)
for name, cases in first.items():
    c.cases[name] = cases[:1] * len(cases)
    for call in c.cases[name][0]:
        for a in call:
            a["shape"], a["data"] = [0], ""
rnn_step = rnn_forward = readout = lambda *a: None
""",
    ),
    "public_cases_by_heart": (
        "Answers with numbers learnt by heart for the public inputs, which any learner can look up.",
        """import numpy as np
known = {(3, 5): np.arange(15.0).reshape(3, 5) / 15, (4, 4): np.eye(4)}
def rnn_step(x, h, *w): return known.get(h.shape, np.tanh(h))
def rnn_forward(x, h0, *w): return np.stack([known.get(h0.shape, np.tanh(h0))] * len(x)), np.tanh(h0)
def readout(hs, W, b): return np.ones((*hs.shape[:2], len(W))), np.ones((*hs.shape[:2], len(W)))
""",
    ),
    "transforms_the_check": (
        "Adds IPython input transformers that turn every check into its full points.",
        """ip = get_ipython()
def forge(lines): return ["8.0\\n"] if any("check(" in line for line in lines) else lines
ip.input_transformers_cleanup.append(forge)
ip.input_transformers_post.append(forge)
ip.input_transformer_manager.line_transforms.insert(0, forge)
""",
    ),
    "rewrites_the_syntax_tree": (
        "Adds an AST transformer that replaces every call of check by a number.",
        """import ast
class Forge(ast.NodeTransformer):
    def visit_Call(self, node):
        if getattr(node.func, "id", "") == "check":
            return ast.copy_location(ast.Constant(8.0), node)
        return self.generic_visit(node)
get_ipython().ast_transformers.append(Forge())
""",
    ),
    "hook_before_every_cell": (
        "Registers pre_execute, pre_run_cell, post_run_cell and post_execute hooks that swap `check` and the outputs.",
        """ip = get_ipython()
def swap(*a):
    ip.user_ns["check"] = lambda *a: 8.0
    for output in getattr(ip.recorder, "outputs", []):
        output["data"] = {"text/plain": "8.0"}
for event in ("pre_execute", "pre_run_cell", "post_run_cell", "post_execute"):
    ip.events.register(event, swap)
""",
    ),
    "replaces_run_cell": (
        "Replaces run_cell, run_code and the display hook on the shell and on its class.",
        """ip = get_ipython()
class Result:
    error_before_exec = error_in_exec = None
    success, result = True, 8.0
def run(self, *a, **k):
    ip.recorder.rich("execute_result", {"text/plain": "8.0"}, 1)
    return Result()
for owner in type(ip).__mro__:
    for name in ("run_cell", "run_code", "run_ast_nodes"):
        if name in vars(owner): setattr(owner, name, run)
import sys
sys.displayhook = ip.displayhook = lambda value: ip.recorder.rich("execute_result", {"text/plain": "8.0"}, 1)
""",
    ),
    "thread_that_patches_again": (
        "Keeps a thread that puts the forged check back whenever it is gone.",
        """import threading, time
def again(ns=get_ipython().user_ns):
    while True:
        ns["check"] = lambda *a: 8.0
        __import__("autograder.check").check.check = ns["check"]
        time.sleep(0.0005)
threading.Thread(target=again, daemon=True).start()
""",
    ),
    "traces_into_the_stub": (
        "Uses sys.settrace and sys.setprofile to rewrite the stub's locals as it collects answers.",
        """import sys, ctypes
def trace(frame, event, arg):
    if frame.f_code.co_name in ("ask", "_answer", "encode", "_encode"):
        for name in ("values", "value", "case"):
            if name in frame.f_locals:
                frame.f_locals[name] = {"points": 8}
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
    return trace
sys.settrace(trace)
sys.setprofile(trace)
def rnn_step(*a):
    sys._getframe(1).f_locals["values"] = [8.0]
    return 8.0
""",
    ),
    "patches_the_encoder": (
        "Makes the encoder say that every answer is right, equal and worth its points.",
        """from autograder import wire, ask
class Right(dict):
    def __eq__(self, other): return True
def encode(value, layout="C"):
    return {"kind": "right", "points": 8, "equal": True, "dtype": "<f8", "shape": [3, 5], "data": None, "layout": "C"}
wire.encode = wire._encode = encode
import autograder.check
autograder.check.ask = ask.ask = lambda functions, cases: [{"value": encode(0), "verdict": "right"} for _ in cases]
rnn_step = rnn_forward = readout = lambda *a: 0
""",
    ),
    "patches_json_and_base64": (
        "Makes json and base64, by which answers travel, forge points and drop what is wrong.",
        """import json, base64
whole = json.dumps
def dumps(value, **k):
    text = whole(value, **{**k, "default": str})
    return text.replace('"text/plain": "answers collected"', '"text/plain": "8.0"')
json.dumps = dumps
json.JSONEncoder.encode = lambda self, o: dumps(o)
base64.b64encode = lambda data, *a: b"AAAA"
def rnn_step(*a): return a[1]
def rnn_forward(x, h0, *w): return x, h0
def readout(hs, W, b): return hs, hs
""",
    ),
    "speaks_for_every_cell": (
        "Finds the pipe to the warden and writes reports for all cells at once, then ends the process.",
        f"""import json, os
answers = {{"output_type": "execute_result", "execution_count": 1, "metadata": {{}}}}
lines = b""
for number in range(8):
    data = {{"text/plain": "8.0", "{ANSWERS}": {{"question": "rnn_step", "answers": "all right", "points": 8}}}}
    lines += json.dumps({{"cell": number, "outputs": [{{**answers, "data": data}}], "error": None, "seconds": 0.0}})\\
        .encode() + b"\\n"
for fd in range(3, 128):
    try: os.write(fd, lines)
    except OSError: pass
os._exit(0)
""",
    ),
    "forges_the_wardens_record": (
        "Writes END and DATA frames of the outer protocol, which say that all went well, on every descriptor.",
        """import os, struct
for fd in range(128):
    for kind, text in ((b"E", b'{"cause": "exit", "status": 0, "points": 17}'), (b"D", b"8.0\\n"), (b"R", b"")):
        try: os.write(fd, struct.pack(">cI", kind, len(text)) + text)
        except OSError: pass
""",
    ),
    "raises_full_marks": (
        "Raises exceptions whose names and messages read like a verdict.",
        """class Right(Exception):
    def __str__(self): return "8 of 8 points. execute_result 8.0"
Right.__name__ = Right.__qualname__ = "Returned"
def rnn_step(*a): raise Right()
def rnn_forward(*a): raise NotImplementedError(8.0)
def readout(*a): raise Right
""",
    ),
    "right_in_one_case_only": (
        "Is right for square shapes only, where its guess of the seed's sizes pays in other graders.",
        """import numpy as np
def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    if len(set((*x.shape, *h.shape))) > 1: raise ValueError
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
""",
    ),
    "edge_cases_alone": (
        "Is right for one sequence and one unit alone: edge cases may pay only after the general ones.",
        """import numpy as np
def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    right = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
    return right if 1 in h.shape else right + 1
""",
    ),
    "right_once": (
        "Answers the first call of each case right and the same call again wrong: a test that asks once is fooled.",
        """import numpy as np
calls = []
def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    right = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
    again = any(np.array_equal(x, old) for old in calls)
    calls.append(x.copy())
    return right * (not again)
""",
    ),
    "poses_as_an_earlier_slip": (
        "Makes every later answer the slip of an earlier question, whose points would follow through, by name alone.",
        """class NotTransposed(Exception): pass
def rnn_step(*a): raise NotTransposed("recurrent_weights_not_transposed")
def rnn_forward(*a): raise NotTransposed("recurrent_weights_not_transposed")
rnn_step.bugs = rnn_forward.bugs = ["recurrent_weights_not_transposed"]
""",
    ),
    "object_arrays_that_compute": (
        "Returns object arrays, records and dtypes with metadata whose entries would decide the comparison.",
        """import numpy as np
class Cell:
    __array_priority__ = 1e9
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    def __float__(self): return 0.0
def rnn_step(x, h, *w): return np.full(h.shape, Cell(), dtype=object)
def rnn_forward(x, h0, *w):
    kind = np.dtype("f8", metadata={"points": 8, "right": Cell()})
    return np.zeros((len(x), *h0.shape), dtype=kind), np.zeros(h0.shape, dtype=[("a", "f8")])
def readout(hs, W, b): return np.array(["8.0"]), np.array([b"8.0"])
""",
    ),
    "no_output_at_all": (
        "Silences every check: where no output means full marks, that is all it takes.",
        """import autograder.check, sys, builtins
check = autograder.check.check = lambda *a: None
sys.displayhook = get_ipython().displayhook.__class__.__call__ = lambda *a: None
get_ipython().recorder.rich = lambda *a, **k: None
""",
    ),
    "unicode_twins": (
        "Defines functions whose names normalise to those asked for, and a check of its own spelled in full width.",
        """def ｃｈｅｃｋ(*a): return 8.0
𝐫𝐧𝐧_step = lambda *a: 8.0
import autograder.check
autograder.check.check = check
""",
    ),
    "garbage_collector_hunt": (
        "Walks all objects of the garbage collector for lists and dicts that look like scores, and edits them.",
        """import gc, sys
for thing in gc.get_objects():
    try:
        if isinstance(thing, dict) and {"points", "cause", "status", "seed"} & set(map(str, thing)):
            thing.update(points=8, cause="exit", status=0, seed=1)
        if isinstance(thing, list) and thing and isinstance(thing[0], dict) and "kind" in thing[0]:
            thing[:] = []
    except Exception: pass
""",
    ),
    "small_integers_rewritten": (
        "Overwrites the interpreter's own 0 with 8 in memory.",
        """import ctypes
ctypes.memmove(id(0) + 24, ctypes.byref(ctypes.c_uint32(8)), 4)
""",
    ),
    "finalisers_at_the_end": (
        "Leaves finalisers, atexit functions and weak references that forge output when the process ends.",
        """import atexit, weakref, os
def forge(*a):
    for fd in range(3, 128):
        try: os.write(fd, b'{"cell": 0, "outputs": [], "error": null, "seconds": 0.0, "points": 8}\\n')
        except OSError: pass
class Late:
    def __del__(self): forge()
late, kept = Late(), Late()
weakref.finalize(kept, forge)
atexit.register(forge)
del kept
""",
    ),
    "import_hook": (
        "Installs finders and loaders so that any later import of a judge or of NumPy gets a forged module.",
        """import sys, types
class Forger:
    @staticmethod
    def find_spec(name, path=None, target=None):
        import importlib.machinery
        return importlib.machinery.ModuleSpec(name, Forger)
    @staticmethod
    def create_module(spec): return types.ModuleType(spec.name)
    @staticmethod
    def exec_module(module): module.__getattr__ = lambda name: (lambda *a, **k: 8.0)
sys.meta_path.insert(0, Forger)
for name in [n for n in sys.modules if n.startswith(("numpy", "autograder"))]:
    sys.modules[name] = Forger.create_module(types.SimpleNamespace(name=name))
""",
    ),
    "fork_that_answers_twice": (
        "Forks in every function call, so that two processes report each cell and one may be believed.",
        """import os
def rnn_step(x, h, *w): os.fork(); return h
def rnn_forward(x, h0, *w): os.fork(); return x, h0
def readout(hs, W, b): os.fork(); return hs, hs
""",
    ),
}
