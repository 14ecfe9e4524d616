//! Puts the built console (`console/dist`, made by `npm run build` in `console`) into the binary. Without one the binary
//! is built all the same and `/console` says that it is missing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: this script is not compiled again where a checkout was moved with what was built in it.
    let manifest =
        env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("CARGO_MANIFEST_DIR is not set"))?;
    let dist = Path::new(&manifest).join("../../console/dist");
    let dist = dist.canonicalize().unwrap_or(dist);
    println!("cargo::rerun-if-changed=build.rs");
    // A folder that is not there would run this script at every build.
    if dist.is_dir() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    let mut table = String::from("&[\n");
    for path in files(&dist)? {
        let name = path.strip_prefix(&dist).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let beside = |ending: &str| {
            let packed = PathBuf::from(format!("{}.{ending}", path.display()));
            match packed.is_file() {
                true => format!("Some(include_bytes!({packed:?}))"),
                false => "None".to_owned(),
            }
        };
        writeln!(
            table,
            "    Asset {{ path: {name:?}, plain: include_bytes!({path:?}), brotli: {}, gzip: {} }},",
            beside("br"),
            beside("gz")
        )
        .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(Path::new(&out).join("console_assets.rs"), table)
}

/// Every file below `dir` but hidden and compressed ones, sorted, as absolute paths. No folder is an empty one.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                dirs.push(path);
            } else if !name.starts_with('.') && !name.ends_with(".br") && !name.ends_with(".gz") {
                found.push(path.canonicalize()?);
            }
        }
    }
    found.sort();
    Ok(found)
}
