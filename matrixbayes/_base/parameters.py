"""The parameters of an estimator of scikit-learn's kind: read, set, copied, pickled, printed."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Sequence
from typing import Any, Self

from numpy.typing import NDArray

from .arguments import shown

CONTAINERS = ("default", "pandas", "polars")
OUTPUT = "_sklearn_output_config"  # where scikit-learn's own tools look


class Parameters:
    """The constructor's parameters as scikit-learn's tools read and set them."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's parameters by name; `deep` is ignored, none of them nests."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters of the constructor by name; returns the estimator."""
        known = self._parameter_names()
        for name in parameters:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: "
                    f"{known}."
                )
        vars(self).update(parameters)  # each has its place: all are set, or none for want of memory
        return self

    def _become(self, other: Self) -> Self:
        """Take on what another holds: all of it, or where memory fails none.  Returns itself."""
        state = dict(vars(other))
        self.__dict__ = state  # takes no memory
        return self

    # An executor holds threads and locks, which neither copy nor pickle.

    def __copy__(self) -> Self:
        again = type(self).__new__(type(self))
        vars(again).update(vars(self))
        return again

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        again = type(self).__new__(type(self))
        for name, value in vars(self).items():
            setattr(again, name, value if name == "executor" else copy.deepcopy(value, memo))
        return again

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "executor": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # a pickle from before a parameter was there
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if name != "self":
                vars(self)[name] = parameter.default
        vars(self).update(state)

    def __sklearn_clone__(self) -> Self:
        again = type(self)(
            **{
                name: value if name == "executor" else copy.deepcopy(value)
                for name, value in self.get_params().items()
            }
        )
        if OUTPUT in vars(self):
            setattr(again, OUTPUT, dict(vars(self)[OUTPUT]))
        return again

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` gives: ``"default"`` (an array), ``"pandas"`` or ``"polars"``.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            None leaves it as it is: as ``sklearn.set_config(transform_output=...)`` has it, if
            nothing was said.

        Returns
        -------
        Parameters
            The estimator itself.
        """
        if transform is not None:
            if transform not in CONTAINERS:
                known = ", ".join(map(repr, CONTAINERS))
                raise ValueError(f"transform={shown(transform)} is not one of {known}")
            setattr(self, OUTPUT, {"transform": transform})
        return self

    def _contained(self, found: NDArray[Any], names: Sequence[str], given: Any) -> Any:
        """An array with its columns' names, in the container that is asked for."""
        loaded = sys.modules.get("sklearn")
        default = "default" if loaded is None else loaded.get_config()["transform_output"]
        container = vars(self).get(OUTPUT, {}).get("transform", default)
        if container == "pandas":
            import pandas

            index = given.index if hasattr(given, "iloc") else None
            return pandas.DataFrame(found, columns=list(names), index=index)
        if container == "polars":
            import polars

            return polars.DataFrame(found, schema=list(names), orient="row")
        return found

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not _is_default(value, defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),
            input_tags=InputTags(allow_nan=False),
        )


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (int, float, str)) and value == default)
