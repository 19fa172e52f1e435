"""Compile numerical kernels with numba; keep their types for the type checker, their code on disk.

Arithmetic is strict in every kernel: with any licence to reorder or fuse operations the last bits
would depend on how a kernel was inlined, and machine code from the disk could then differ from the
code that was just compiled.

Numba optimises a function and makes machine code of it each time another one contains it.  Here a
kernel inside others stays unfinished until the kernel that Python calls has them all together; so
everything is optimised once, and together.  Of numba's passes over a function only those run that a
plain numerical kernel needs: no closures, comprehensions, arguments that are None or objects.
"""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial, update_wrapper
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite
import numba
import numpy as np
from llvmlite.binding.newpassmanagers import create_new_function_pass_manager
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.compiler_machinery import PassManager
from numba.core.sigutils import normalize_signature
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    ReconstructSSA,
    TranslateByteCode,
)
from numba.misc.appdirs import AppDirs

P = ParamSpec("P")
R = TypeVar("R")

GENERATIONS = 16
"""Folders of machine code that are kept, the latest used ones"""
_FOLDER = re.compile("kernels-[0-9a-f]{16}")
_PASSES = (
    TranslateByteCode,
    FixupArgs,
    GenericRewrites,
    ReconstructSSA,
    NopythonTypeInference,
    PreLowerStripPhis,
    IRLegalization,
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
)
"""What turns a function into machine code, in numba's order; each pass costs an analysis of it"""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call; division by zero gives infinity, the code is kept on disk.

    Parameters
    ----------
    function : callable
        A function that numba can compile in nopython mode.

    Returns
    -------
    callable
        The compiled function, with the same signature.
    """
    return cast("Callable[P, R]", Kernel(function, nogil=False, error_model="numpy"))


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call a kernel that Python calls, too; the code is kept on disk.

    The interpreter lock is released while it runs. Parameters and returns as for `compiled`.
    """
    return cast("Callable[P, R]", Kernel(function, nogil=True, error_model="python"))


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that is only called by other kernels and ends up inside them.

    Parameters and returns as for `compiled`.
    """
    return cast("Callable[P, R]", _inside(function, nogil=True, error_model="python"))


class Kernel:
    """A kernel for Python, compiled and kept when Python calls it, and one for other kernels."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        update_wrapper(self, function)
        self.inside = _inside(function, **options)
        self.outside = numba.njit(pipeline_class=_KernelCompiler, no_cfunc_wrapper=True, **options)(
            function
        )
        if hasattr(self.outside, "_cache"):  # not where numba is switched off
            with suppress(RuntimeError):  # no place to keep code: it is compiled in each process
                self.outside._cache = _KeptCode(function)
                folder = Path(function.__code__.co_filename).parent
                self.outside._cache._cache_file._source_stamp = kept_at(folder).name

    @property
    def _numba_type_(self) -> Any:
        return self.inside._numba_type_

    def __call__(self, *args: Any) -> Any:
        return self.outside(*args)


def _inside(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a kernel for other kernels alone, once for all constants it is called with."""
    options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    kernel = numba.njit(pipeline_class=_InsideCompiler, **options)(function)
    if hasattr(kernel, "get_call_template"):
        kernel.get_call_template = partial(_for_any_constant, kernel.get_call_template)
    return kernel


def _for_any_constant(resolve: Callable[[Any, Any], Any], args: Any, kws: Any) -> Any:
    return resolve([numba.types.unliteral(kind) for kind in args], kws)


class _Nowhere:
    """In place of a code generator: a kernel without machine code has no place for its globals."""

    def set_env(self, name: str, env: Any) -> None:
        """Do nothing."""


# numba has no types of its own: to the type checker the bases below are unknown
class _Unfinished(JITCodeLibrary):  # type: ignore[misc]  # numba has no types for mypy
    """Code of a kernel for others: linked, neither optimised as a whole nor made machine code."""

    @property
    def codegen(self) -> Any:
        return _Nowhere()

    def _optimize_functions(self, ll_module: Any) -> None:
        """Make a function small: the whole meets every pass, and these make that faster."""
        ll_module.data_layout = self._codegen._data_layout
        builder = self._codegen._pass_builder()
        for function in ll_module.functions:
            if not function.is_declaration:
                passes = create_new_function_pass_manager()
                passes.add_sroa_pass()
                passes.add_simplify_cfg_pass()
                passes.add_instruction_combine_pass()
                passes.run(function, builder)

    def get_pointer_to_function(self, name: str) -> int:
        """0: there is no machine code."""
        return 0

    def finalize(self) -> None:
        """Link what this kernel contains."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


class _KernelCompiler(Compiler):  # type: ignore[misc]  # as above
    """Numba's own compiler with fewer passes."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile without looking for dead objects: nearly all of the very many live to the end."""
        self.state.flags = _shared(self.state.flags)
        with _nothing_collected(), _unfinished_pieces(self.state.targetctx.codegen()):
            return super().compile_extra(func)

    def define_pipelines(self) -> Any:
        """Return the passes that a kernel needs."""
        if self.state.library is None:
            generator = self.state.targetctx.codegen()
            self.state.library = JITCodeLibrary(generator, self.state.func_id.func_qualname)
            self.state.library.enable_object_caching()
        passes = PassManager("kernel")
        for one in _PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


_SharedFlags = type(
    "_SharedFlags",
    (Flags,),
    {
        "__doc__": "Options that never change: numba compares them for every operation.",
        "__slots__": ("digest",),
        "__hash__": lambda self: self.digest,
        "copy": lambda self: self,
    },
)


_FLAGS: dict[Any, Any] = {}


def _shared(flags: Any) -> Any:
    """Options equal to `flags`, always the same object."""
    if flags not in _FLAGS:
        shared: Any = _SharedFlags(flags)
        shared.digest = hash(flags)
        _FLAGS[flags] = shared
    return _FLAGS[flags]


@contextmanager
def _unfinished_pieces(generator: Any) -> Iterator[None]:
    """Leave unfinished what numba compiles on the way, such as `np.empty`."""
    usual = generator._library_class
    generator._library_class = _Unfinished
    try:
        yield
    finally:
        generator._library_class = usual


@contextmanager
def _nothing_collected() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _InsideCompiler(_KernelCompiler):
    """A compiler whose code stays unfinished."""

    def define_pipelines(self) -> Any:
        """Return the passes, with a place for their code."""
        if self.state.library is None:
            generator = self.state.targetctx.codegen()
            self.state.library = _Unfinished(generator, self.state.func_id.func_qualname)
        return super().define_pipelines()


@cache
def sources(folder: Path) -> tuple[tuple[str, str], ...]:
    """Name and digest of every Python file of a folder, as they were at the first call."""
    files = sorted(folder.glob("*.py"))
    return tuple((file.name, sha256(file.read_bytes()).hexdigest()) for file in files)


def kept_at(folder: Path) -> Path:
    """Where machine code of the kernels in a folder is kept: one place for equal contents.

    Numba takes kept code for valid while the function's own file is unchanged; but it also contains
    the kernels of other files that it calls.  So all kernels that call each other stand in one
    folder, and every file of it counts, with this one and the versions of the compiler and of
    numpy, whose cosines stand in kernels as constants.  The place is in `NUMBA_CACHE_DIR` or the
    user's cache folder, so that every copy of the package with the same kernels finds it.
    """
    return _place(folder, numba.config.CACHE_DIR)


@cache
def _place(folder: Path, given: str) -> Path:
    own = sha256(Path(__file__).read_bytes()).hexdigest()
    versions = numba.__version__, llvmlite.__version__, np.__version__
    content = repr((sources(folder), own, versions))
    root = Path(given).absolute() if given else Path(AppDirs("airtune", False).user_cache_dir)
    return root / f"kernels-{sha256(content.encode()).hexdigest()[:16]}"


class _Place:
    """What numba asks where to keep the code of a function: `kept_at`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.place = kept_at(Path(function.__code__.co_filename).parent)
        self.line = function.__code__.co_firstlineno
        self._py_file = function.__code__.co_filename  # named in a warning of numba's

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Place | None:
        """None if it can neither be written nor read; numba then has other places."""
        found = cls(function)
        if not found.place.is_absolute():  # a user without a home
            return None
        try:
            found.ensure_cache_path()
        except OSError:
            return found if any(found.place.glob("*.nbi")) else None
        return found

    def ensure_cache_path(self) -> None:
        """Make the folder, and take away the ones that were not used for longest."""
        new = not self.place.exists()
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "used").touch()
        if new:
            own = [f for f in self.place.parent.iterdir() if _FOLDER.fullmatch(f.name)]
            dated = sorted((folder for folder in own if _last_use(folder)), key=_last_use)
            for old in dated[:-GENERATIONS]:
                shutil.rmtree(old, ignore_errors=True)

    def get_cache_path(self) -> str:
        """Return the folder."""
        return str(self.place)

    def get_source_stamp(self) -> str:
        """Return what the code is valid for."""
        return self.place.name

    def get_disambiguator(self) -> str:
        """Tell functions of the same name apart."""
        return str(self.line)


def _last_use(folder: Path) -> float:
    with suppress(OSError):
        return (folder / "used").stat().st_mtime
    return 0.0


_PLACES = (_Place, *CompileResultCacheImpl._locator_classes)
_Kept = type("_Kept", (CompileResultCacheImpl,), {"_locator_classes": _PLACES})


def _load(store: Any, sig: Any, target_context: Any) -> Any:
    """Read kept code; None, too, if a full disk or a lost machine has left a damaged file.

    Two processes that begin to keep a kernel for different arguments may name the same file.
    """
    try:
        found = FunctionCache.load_overload(store, sig, target_context)
    except Exception:  # a damaged pickle raises many kinds
        with suppress(OSError):
            store.flush()
        return None
    wanted, _ = normalize_signature(sig)
    return found if found is None or found.signature.args == tuple(wanted) else None


def _save(store: Any, sig: Any, data: Any) -> None:
    """Keep code, if it can be written; a damaged index may still be there where none can."""
    with suppress(Exception):
        FunctionCache.save_overload(store, sig, data)


_KeptCode = type(
    "_KeptCode",
    (FunctionCache,),
    {"_impl_class": _Kept, "load_overload": _load, "save_overload": _save},
)
