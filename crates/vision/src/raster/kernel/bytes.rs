//! Numbers to bytes.
#![expect(unsafe_code, reason = "a conversion that compilers turn into vector instructions, of numbers in bounds")]

/// The bytes of numbers, of which those beyond 0 to 255 become 0 and 255; fractions are cut off.
#[expect(clippy::manual_clamp, reason = "`clamp` leaves what is no number as it is")]
#[inline(always)]
pub(super) fn truncated(numbers: &[f32], out: &mut [u8]) {
    for (byte, &number) in out.iter_mut().zip(numbers) {
        // SAFETY: between 0 and 255, to which `max` also turns what is no number.
        *byte = unsafe { number.max(0.0).min(255.0).to_int_unchecked::<i32>() } as u8;
    }
}
