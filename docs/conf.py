"""How Sphinx makes the site of the pages beside this file: `make docs`.

Nothing is fetched, neither while it is made nor while it is read.  Pages of the reference, of the
C headers and of the notebooks are written into docs/_made from what is there.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent / "_site"))

import matrixbayes as mb

project = "matrixbayes"
author = "The matrixbayes developers"
copyright = author  # of whom, and no year that every build changes
version = release = mb.__version__
language = "en"
smartquotes = False  # "yes" is code as often as not

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_copybutton",
    "made",
    "formulas",
]
exclude_patterns = ["_site"]
nitpicky = True
# Times and paths of this machine are nobody's business.
html_last_updated_fmt = None

# Docstrings.  They are numpydoc and say their types; names in single backticks become links where
# they are ours and stay as they are where not (formulas.py).
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Pages in Markdown, which a forge shows as well, and notebooks with the outputs that they have.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_number_code_blocks: list[str] = []
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would be asked of another machine

# Pictures.
plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
plot_pre_code = "import numpy as np\nimport matrixbayes as mb\n"
plot_rcparams = {"figure.autolayout": False}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"matrixbayes {release}"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
templates_path = ["_site/templates"]
