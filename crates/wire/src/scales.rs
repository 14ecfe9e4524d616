//! A dialect's scale for each pack.

use likeness_domain::library::Library;
use likeness_domain::score::{Calibration, Scale};
use likeness_domain::types::PackId;

/// What a vendor's numbers are for the templates of each loaded pack.
pub(crate) struct Scales(Vec<(PackId, Scale)>);

impl Scales {
    /// Makes the scale of every pack of a library from its calibration.
    pub(crate) fn of(library: &Library, scale: impl Fn(&Calibration) -> Scale) -> Self {
        Self(library.packs().iter().map(|pack| (pack.id.clone(), scale(&pack.calibration))).collect())
    }

    /// The scale of a pack, if it is loaded.
    pub(crate) fn get(&self, pack: &PackId) -> Option<&Scale> {
        self.0.iter().find(|(id, _)| id == pack).map(|(_, scale)| scale)
    }
}
