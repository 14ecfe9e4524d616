//! Rows of a warped crop with vector instructions, where the processor has them; which is chosen once per process.
//! They give the very bytes of the plain code in [`super`]. The unsafe code is in the submodule.

#[cfg(target_arch = "x86_64")]
mod avx512;

use std::sync::OnceLock;

/// Pixels that are made together.
pub(super) const GROUP: usize = 8;

/// Where the pixels of a row of a crop are in a picture of RGB bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The picture, `width` x `height` pixels of three bytes.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the plain code has the picture itself"))]
    pub(super) picture: &'a [u8],
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the plain code has the picture itself"))]
    pub(super) width: u32,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the plain code has the picture itself"))]
    pub(super) height: u32,
    /// Column and row of the crop's first pixel, and what is added for each pixel, in 1/1024 pixel. They are cut to 1/32.
    pub(super) start: (i64, i64),
    pub(super) steps: (&'a [i64], &'a [i64]),
}

/// Makes groups of [`GROUP`] pixels of `out` from the pixel `from` on, as long as all neighbours of a group are inside the
/// picture and not its very last bytes. Gives the first pixel that is not made.
pub(super) type WarpRow = fn(row: &Row<'_>, from: usize, out: &mut [[u8; 3]]) -> usize;

/// The fastest that this processor can run; `None` if that is the plain code.
pub(super) fn warp_row() -> Option<WarpRow> {
    static CHOSEN: OnceLock<Option<WarpRow>> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        return avx512::warp_row();
        #[cfg(not(target_arch = "x86_64"))]
        None
    })
}
