//! Operating points of one's own: a file that takes the place of an installed pack's `[score]`, measured on one's own
//! photographs. It lies beside the packs, so that installing a pack again leaves it alone, and changes no template: face
//! sets keep working, with other thresholds for the same rates.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use likeness_domain::score::FAR_USUAL;
use likeness_domain::types::PackId;
use likeness_domain::{Error, Kind, Result};

use super::files::{cannot, create_dir, read_bounded, write_synced};
use super::home::Home;
use super::installed::open;
use super::manifest::{MANIFEST_BYTES_MAX, Score, parse_calibration};
use super::unavailable;

/// The text of a file with these operating points for that pack, as [`install_calibration`] takes it.
pub fn calibration_text(id: &PackId, score: &Score) -> String {
    // A basic string of TOML takes the escapes that Rust's own has, but for these.
    let measured_on: String = score.measured_on.chars().filter(|char| !char.is_control()).collect();
    let measured_on = measured_on.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "# Operating points for model pack {id}. To use them: likeness pack calibrate FILE\n\
         pack = \"{id}\"\nmeasured_on = \"{measured_on}\"\n"
    );
    if let Some(far) = score.calibration.far_chosen() {
        let _ = writeln!(text, "default_far = {far:e}");
    }
    text.push_str("operating_points = [\n");
    for point in score.calibration.points() {
        let _ = write!(text, "    {{ far = {:e}, similarity = {:.5}", point.far, point.similarity.get());
        if let Some(interval) = point.far_interval {
            let _ = write!(text, ", far_interval = [{:.3e}, {:.3e}]", interval.low, interval.high);
        }
        if let Some(tar) = point.tar {
            let _ = write!(text, ", tar = {tar:.6}");
        }
        if let Some(interval) = point.tar_interval {
            // Outwards, so that the interval holds the rounded rate.
            let (low, high) = ((interval.low * 1e6).floor() / 1e6, (interval.high * 1e6).ceil() / 1e6);
            let _ = write!(text, ", tar_interval = [{low:.6}, {high:.6}]");
        }
        text.push_str(" },\n");
    }
    text.push_str("]\n");
    text
}

/// Takes over a file of operating points for the installed pack it names; they hold from the next start on. `default_far`
/// is the false-accept rate of a verdict for which nobody says which; without one the file's own or [`FAR_USUAL`] is, and
/// a file that shows neither is refused, since no other rate may take its place in silence. Returns the pack's id.
/// [`likeness_domain::Kind::PackUnavailable`] names what is wrong with the file, or that there is no such pack;
/// `InvalidArgument` for a default that was not measured.
pub fn install_calibration(home: &Home, path: &Path, default_far: Option<f64>) -> Result<PackId> {
    let mut bytes = read_bounded(path, MANIFEST_BYTES_MAX).map_err(|err| cannot("read", path, err))?;
    let origin = format!("`{}`", path.display());
    let (id, mut score) = parse_calibration(&bytes, &origin)?;
    let (least, most) = score.calibration.far_range();
    if let Some(far) = default_far {
        score.calibration = score.calibration.with_far_default(far).ok_or_else(|| {
            let message =
                format!("the default rate is {far:e}, expected {least:e} to {most:e}, which {origin} was measured for");
            Error::invalid("default_far", message)
        })?;
        bytes = with_default(&bytes, far);
        if parse_calibration(&bytes, &origin)? != (id.clone(), score) {
            return Err(Error::new(Kind::Internal, "the default rate cannot be written into the file"));
        }
    } else if score.calibration.far_default().is_none() {
        let message = format!(
            "{origin} shows rates from {most:e} to {least:e}, not {FAR_USUAL:e}, which holds where nobody says which rate"
        );
        let hint = format!(
            "measure more people (225 of two photographs show 1e-4), or choose the default: `--default-far {least:e}` \
             lets pass {:.0} times as many strangers as {FAR_USUAL:e} does wherever no rate is said",
            least / FAR_USUAL
        );
        return Err(Error::invalid("default_far", message).with_hint(hint));
    }
    if open(home, &id)?.manifest().recognition().is_none() {
        let message = format!("model pack `{id}` recognises no faces, so it has no operating points");
        return Err(unavailable(message, "run `likeness pack list` to see what the installed packs can do"));
    }
    let target = home.calibration_file(&id);
    let parent = home.calibrations_dir();
    create_dir(&parent)?;
    // By one rename, so that a server that starts meanwhile reads the old points or the new ones.
    let staged = parent.join(format!(".{id}.{}", std::process::id()));
    let _ = fs::remove_file(&staged);
    write_synced(&staged, &bytes)?;
    fs::rename(&staged, &target).map_err(|err| cannot("write", &target, err))?;
    Ok(id)
}

/// The text of a file of operating points with this default instead of its own. All else stays as it is, to the last
/// digit.
fn with_default(bytes: &[u8], far: f64) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let others = text.lines().filter(|line| !line.trim_start().starts_with("default_far"));
    let mut found = format!("default_far = {far:e}\n");
    others.for_each(|line| found.extend([line, "\n"]));
    found.into_bytes()
}

/// Goes back to the operating points of the pack's own manifest; whether there were others.
pub fn remove_calibration(home: &Home, id: &PackId) -> Result<bool> {
    let path = home.calibration_file(id);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(cannot("remove", &path, err)),
    }
}

#[cfg(test)]
mod tests {
    use likeness_domain::score::{Calibration, Interval, OperatingPoint};
    use likeness_domain::types::Similarity;

    use super::*;

    fn score(measured_on: &str) -> Score {
        let first = OperatingPoint {
            far_interval: Some(Interval { low: 0.009, high: 0.012 }),
            tar: Some(0.9875),
            tar_interval: Some(Interval { low: 0.96875, high: 1.0 }),
            ..OperatingPoint::new(1e-2, Similarity::new(0.25))
        };
        let points = vec![first, OperatingPoint::new(1e-3, Similarity::new(0.375))];
        Score { calibration: Calibration::new(points).unwrap(), measured_on: measured_on.to_owned() }
    }

    #[test]
    fn a_rounded_rate_stays_in_its_interval() {
        let id = PackId::new("default-2").unwrap();
        let third = 1.0 / 3.0;
        let at = |far, similarity| OperatingPoint {
            tar: Some(third),
            tar_interval: Some(Interval { low: third, high: third }),
            ..OperatingPoint::new(far, Similarity::new(similarity))
        };
        let calibration = Calibration::new(vec![at(1e-2, 0.25), at(1e-3, 0.375)]).unwrap();
        let text = calibration_text(&id, &Score { calibration, measured_on: "x".to_owned() });
        parse_calibration(text.as_bytes(), "the file").unwrap();
    }

    #[test]
    fn what_is_written_is_read_again() {
        let id = PackId::new("default-2").unwrap();
        for measured_on in ["our gate, 40 people", "a \"quoted\" \\ text"] {
            let text = calibration_text(&id, &score(measured_on));
            let (read_id, read) = parse_calibration(text.as_bytes(), "the file").unwrap();
            assert_eq!((read_id, read), (id.clone(), score(measured_on)), "{text}");
        }
        let text = calibration_text(&id, &score("two\nlines"));
        assert_eq!(parse_calibration(text.as_bytes(), "the file").unwrap().1.measured_on, "twolines");
    }

    #[test]
    fn a_default_takes_the_place_of_another_and_is_read_again() {
        let id = PackId::new("default-2").unwrap();
        let Score { calibration, measured_on } = score("us");
        let chosen = Score { calibration: calibration.clone().with_far_default(1e-2).unwrap(), measured_on };
        let text = calibration_text(&id, &chosen);
        assert_eq!(parse_calibration(text.as_bytes(), "the file").unwrap().1, chosen);
        let again = with_default(text.as_bytes(), 3e-3);
        let found = parse_calibration(&again, "the file").unwrap().1.calibration;
        assert_eq!(found, calibration.with_far_default(3e-3).unwrap());
        let beyond = with_default(text.as_bytes(), 1e-4);
        let error = parse_calibration(&beyond, "`x.toml`").unwrap_err();
        assert!(error.message().contains("`score.default_far` is 1e-4, expected 1e-3 to 1e-2"), "{}", error.message());
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_with_its_name() {
        let check = |text: &str, expected: &str| {
            let error = parse_calibration(text.as_bytes(), "`x.toml`").unwrap_err();
            assert!(error.message().contains(expected), "{}", error.message());
        };
        let points = "operating_points = [{ far = 1e-2, similarity = 0.3 }, { far = 1e-3, similarity = 0.4 }]";
        check(&format!("pack = \"No Name\"\nmeasured_on = \"x\"\n{points}"), "`x.toml`: `pack` is `No Name`");
        check(&format!("pack = \"a-1\"\nmeasured_on = \" \"\n{points}"), "`score.measured_on` is empty");
        check("pack = \"a-1\"\nmeasured_on = \"x\"\noperating_points = []", "operating_points");
        check(&format!("pack = \"a-1\"\nmeasured_on = \"x\"\nmore = 1\n{points}"), "`x.toml`");
        let wide = points.replace("0.3 }", "0.3, far_interval = [0.02, 0.03] }");
        check(&format!("pack = \"a-1\"\nmeasured_on = \"x\"\n{wide}"), "far_interval [0.02, 0.03] at far 0.01");
        let wide = points.replace("0.3 }", "0.3, tar = 0.9, tar_interval = [0.91, 1.0] }");
        check(&format!("pack = \"a-1\"\nmeasured_on = \"x\"\n{wide}"), "tar_interval [0.91, 1] at tar 0.9");
        let alone = points.replace("0.3 }", "0.3, tar_interval = [0.91, 1.0] }");
        check(&format!("pack = \"a-1\"\nmeasured_on = \"x\"\n{alone}"), "tar_interval without a `tar`");
    }
}
