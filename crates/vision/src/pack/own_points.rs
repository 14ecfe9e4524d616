//! The operating points that hold for an installed pack: those of one's own if there are any.

use std::io;

use likeness_domain::Result;
use likeness_domain::types::PackId;

use super::files::{cannot, read_bounded};
use super::home::Home;
use super::manifest::{MANIFEST_BYTES_MAX, Score, parse_calibration};
use super::recipe::our_score;
use super::unavailable;

/// The points that hold instead of the `stated` ones of the pack's manifest; `None` if those hold. A pack of ours that was
/// installed by an earlier release gets what is known by now of the points its manifest states.
pub(super) fn own_points(home: &Home, id: &PackId, stated: Option<&Score>) -> Result<Option<Score>> {
    let path = home.calibration_file(id);
    let bytes = match read_bounded(&path, MANIFEST_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let known = our_score(id).zip(stated).filter(|(ours, stated)| states_the_same(ours, stated));
            return Ok(known.map(|(ours, _)| ours));
        }
        Err(err) => return Err(cannot("read", &path, err)),
    };
    let cure = || format!("`likeness pack calibrate --reset {id}` removes them");
    let (named, score) =
        parse_calibration(&bytes, &format!("`{}`", path.display())).map_err(|error| error.with_hint(cure()))?;
    if named != *id {
        let message = format!("`{}` has operating points for `{named}`, expected some for `{id}`", path.display());
        return Err(unavailable(message, cure()));
    }
    // What a small sample cannot show is never looser than the pack's own measurement.
    let calibration = match stated {
        Some(stated) => score.calibration.not_below(&stated.calibration),
        None => score.calibration,
    };
    Ok(Some(Score { calibration, ..score }))
}

/// Whether both have the same rates at the same similarities.
fn states_the_same(a: &Score, b: &Score) -> bool {
    let points = |score: &Score| -> Vec<_> {
        score.calibration.points().iter().map(|point| (point.far, point.similarity)).collect()
    };
    points(a) == points(b)
}
