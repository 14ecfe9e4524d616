import pathlib
import sys

# The suites import `harness`, `signing`, `people`, `green` and `facesearch` by name, whichever environment pytest runs in.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
