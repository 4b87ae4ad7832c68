"""Put the migrations and all modules into a frozen program. PyInstaller runs this file for each program.

The migrations are read as files. Many modules are imported by their names, which PyInstaller cannot see.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

_FOR_DEVELOPERS = ("usage_store._pyinstaller", "usage_store.pytest_plugin", "usage_store.testing")

datas = collect_data_files("usage_store.migrations", include_py_files=True)
hiddenimports = collect_submodules("usage_store", filter=lambda name: not name.startswith(_FOR_DEVELOPERS))
