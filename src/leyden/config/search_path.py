"""Two small Hydra plug-ins: where to look for configs, and how an experiment folder is one.

`register` hands them to Hydra in process, so that no ``hydra_plugins`` package has to be
found by a scan. Afterwards every way into Hydra (its main, its compose function, its
shell completion) looks at, in this order:

    hydra's own  ─►  experiments of the project  ─►  <project>/conf  ─►  shipped conf/  ─►  --config-dir
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath, SearchPathElement
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from leyden.config.project import project_root, shipped_conf
from leyden.errors import ConfigurationError

Names = list[str]  # inside the class below, `list` is a method
GROUP = "experiment"
FILE = "experiment.yaml"


class ExperimentsSource(ConfigSource):
    """The group ``experiment``: *slug* is ``conf/experiment/<slug>.yaml``, or ``experiments/<slug>/experiment.yaml``.

    The package of the latter is ``_global_`` unless it says otherwise: an experiment changes
    anything. One that says no ``name`` has its slug, so that its runs get a folder of their own.
    The group exists even where the directory does not.
    """

    @staticmethod
    def scheme() -> str:
        """Return the prefix of search path entries this source reads."""
        return "experiments"

    def file(self, config_path: str) -> Path | None:
        """Return the file behind ``experiment/<slug>``, or None for any other config."""
        group, _, slug = config_path.removesuffix(".yaml").partition("/")
        if group != GROUP or not slug:
            return None
        plain = Path(self.path).parent / "conf" / GROUP / f"{slug}.yaml"
        return plain if plain.is_file() else Path(self.path) / slug / FILE

    def load_config(self, config_path: str) -> ConfigResult:
        """Read the experiment's file."""
        file = self.file(config_path)
        if file is None or not file.is_file():
            raise ConfigLoadError(f"there is no {config_path} in {self.path}")
        text = file.read_text(encoding="utf-8")
        header = self._get_header_dict(text)
        if file.name == FILE and file.parent.parent == Path(self.path):
            header["package"] = header["package"] or "_global_"
        with file.open(encoding="utf-8") as stream:  # a stream, so that YAML errors name the file
            config = OmegaConf.load(stream)
        if header["package"] == "_global_" and isinstance(config, DictConfig) and "name" not in config:
            config["name"] = config_path.removesuffix(".yaml").removeprefix(f"{GROUP}/").replace("/", "_")
        return ConfigResult(config=config, path=self.full_path(), provider=self.provider, header=header)

    def available(self) -> bool:
        """Return True: an absent directory is a group without options."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Tell whether *config_path* is the one group there is."""
        return config_path.strip("/") in ("", GROUP)

    def is_config(self, config_path: str) -> bool:
        """Tell whether *config_path* names an experiment that exists."""
        file = self.file(config_path)
        return file is not None and file.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> Names:
        """List the group at the root, and the experiments in the group."""
        if config_path.strip("/") == "":
            return [] if results_filter == ObjectType.CONFIG else [GROUP]
        if results_filter == ObjectType.GROUP:
            return []
        plain = (file.stem for file in (Path(self.path).parent / "conf" / GROUP).glob("*.yaml"))
        return sorted({*plain, *(file.parent.name for file in Path(self.path).glob(f"*/{FILE}"))})


class ProjectSearchPath(SearchPathPlugin):
    """Puts the project's configs before the shipped ones, and the shipped ones behind everything."""

    config_dir: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Insert what the current directory's project brings."""
        entries = search_path.get_path()
        root, shipped = project_root() or Path.cwd(), shipped_conf()
        own = [SearchPathElement("project", f"experiments://{root / 'experiments'}")]
        if (root / "conf").is_dir() and (root / "conf").resolve() != shipped.resolve():
            own.append(SearchPathElement("project", f"file://{root / 'conf'}"))
        first = next((at for at, entry in enumerate(entries) if entry.provider == "main"), len(entries))
        if not entries[first:] or entries[first].path != str(shipped):
            search_path.append("leyden", f"file://{shipped}")
        entries[first:first] = own
        if self.config_dir is not None:
            search_path.append("command-line", f"file://{self.config_dir}")


def register(config_dir: Path | None = None) -> None:
    """Make Hydra use both plug-ins.

    Args:
        config_dir: One more directory, looked at last; forgotten at the next call.

    Raises:
        ConfigurationError: If *config_dir* does not exist.
    """
    if config_dir is not None and not config_dir.is_dir():
        raise ConfigurationError(f"--config-dir {config_dir} is no directory. Give one that exists, or leave it out.")
    ProjectSearchPath.config_dir = None if config_dir is None else config_dir.resolve()
    plugins = Plugins.instance()
    plugins.register(ExperimentsSource)
    plugins.register(ProjectSearchPath)
