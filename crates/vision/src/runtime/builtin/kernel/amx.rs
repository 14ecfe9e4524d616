//! Sums of products of 16-bit integers with tiles of bytes (AMX), everything else with AVX-512.
//!
//! A tile instruction multiplies 16 x 64 with 64 x 16 bytes in the time of 16 vector instructions. A product of two
//! 16-bit integers is four of bytes: with `x = 256 h + l`, h with a sign and l without, it is
//! `65536 h h' + 256 (h l' + l h') + l l'`. Each of the three sums has a tile of its own; put together they are the very
//! integers of the other kernels. Measured, four tile instructions with their loads take 29 ns, the vector instructions
//! for as many products 250 ns.
#![expect(unsafe_code, reason = "instructions that the processor and the system were asked for at run time")]

use std::arch::asm;
use std::arch::x86_64::*;

use super::avx512;
use super::{Finish, Kernel, LANES, Line, PackedWeights, Packing, Pointwise, TILE_DEPTH, TileLine};

/// Rows of a tile.
const TILE_ROWS: usize = 16;

/// Lines of the two tiles, of high and of low bytes, that hold [`TILE_DEPTH`] numbers of each of 16 rows.
const PAIR_LINES: usize = 2 * TILE_ROWS;

/// Lines of the three tiles of sums of one line of outputs.
const SUM_LINES: usize = 3 * TILE_ROWS;

/// Lines of outputs that are made together.
///
/// Of each tile of pixels that is loaded twice as much is made, and two sums grow in turn: one instruction need not wait
/// for the sum of the one before, which takes three times as long as the next instruction.
const LINES_TOGETHER: usize = 2;

/// The kernel, if this processor can run it and the system lets this process use tiles.
pub(super) fn kernel() -> Option<&'static Kernel> {
    let usable = avx512::kernel().is_some() && has_tiles() && may_use_tiles();
    usable.then_some(&KERNEL)
}

// Reached through `kernel` only, which has asked for all of it.
static KERNEL: Kernel = Kernel {
    name: "avx512-amx",
    packing: Packing::Tiles,
    // SAFETY: the processor has the instructions, see above; the bounds are checked by `Kernel`.
    pointwise: |job, bytes, out| unsafe { pointwise(job, bytes, out) },
    ..avx512::KERNEL
};

/// Whether the processor has the instructions and the system saves tiles: Linux names them only then.
fn has_tiles() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    ["amx_tile", "amx_int8"].iter().all(|wanted| flags.split_ascii_whitespace().any(|flag| flag == *wanted))
}

/// Asks the system for leave to use tiles, which holds for all threads of the process.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    /// Linux, `arch/x86/include/uapi/asm/prctl.h` and the number of the state component in the processor's manual.
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: changes nothing but what this process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    n_rows: [u8; 16],
}

impl TileConfig {
    /// Tiles 0 to 5 for sums and 6 for pixels have `n_rows` rows, 7 for weights has 16, of 64 bytes each.
    fn new(n_rows: usize) -> Self {
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], n_rows: [0; 16] };
        config.row_bytes[..8].fill(64);
        config.n_rows[..7].fill(n_rows as u8);
        config.n_rows[7] = TILE_ROWS as u8;
        config
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn pointwise(job: &Pointwise<'_>, bytes: &mut Vec<TileLine>, out: &mut [Line]) {
    let PackedWeights::Tiles(weights) = job.weights else { return };
    let n_pixels = job.scales.len();
    let n_chunks = job.depth.div_ceil(TILE_DEPTH);
    // Blocks as equal as possible: the time of a tile instruction grows with the rows.
    let n_blocks = n_pixels.div_ceil(TILE_ROWS);
    let block_rows = n_pixels.div_ceil(n_blocks.max(1));
    if n_pixels == 0 {
        return;
    }
    let n_blocks = n_pixels.div_ceil(block_rows);
    let block_lines = n_chunks * PAIR_LINES;
    // What is left from before in rows beyond the last pixel makes sums that nobody reads.
    if bytes.len() < n_blocks * block_lines {
        bytes.resize(n_blocks * block_lines, TileLine::ZERO);
    }
    for (block, rows) in bytes.chunks_exact_mut(block_lines).zip(job.rows.chunks(block_rows * job.depth)) {
        for (row_idx, row) in rows.chunks_exact(job.depth).enumerate() {
            for (chunk_idx, chunk) in row.chunks(TILE_DEPTH).enumerate() {
                let (high, low) = split(chunk);
                block[chunk_idx * PAIR_LINES + row_idx] = high;
                block[chunk_idx * PAIR_LINES + TILE_ROWS + row_idx] = low;
            }
        }
    }
    let config = TileConfig::new(block_rows);
    let mut sums = [[TileLine::ZERO; SUM_LINES]; LINES_TOGETHER];
    // SAFETY: the processor and the system let this process use tiles. `Kernel::pointwise` has checked that there are
    // `block_lines` lines of weights for each line of outputs, and the places of the pixels; `bytes` has `block_lines`
    // lines for each block. No tile is used between the two instructions but by `multiply`, and no library is called.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, preserves_flags, readonly));
        for (pair_idx, finishes) in job.finish.chunks(LINES_TOGETHER).enumerate() {
            let first_line = pair_idx * LINES_TOGETHER;
            let weights = weights.as_ptr().add(first_line * block_lines);
            // A line that is left over is made twice.
            let second_weights = weights.add((finishes.len() - 1) * block_lines);
            for block_idx in 0..n_blocks {
                let pixels = bytes.as_ptr().add(block_idx * block_lines);
                multiply(pixels, weights, second_weights, n_chunks, &mut sums);
                let first = block_idx * block_rows;
                let rows = first..n_pixels.min(first + block_rows);
                for (idx, (sums, finish)) in sums.iter().zip(finishes).enumerate() {
                    let plane = out.as_mut_ptr().add((first_line + idx) * job.plane_len);
                    store(sums, finish, &job.scales[rows.clone()], &job.places[rows.clone()], plane);
                }
            }
        }
        asm!("tilerelease", options(nostack, preserves_flags, nomem));
    }
}

/// The high bytes, with a sign, and the low bytes, without one, of up to [`TILE_DEPTH`] numbers; zeros beyond.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn split(numbers: &[i16]) -> (TileLine, TileLine) {
    let mut filled = [0; TILE_DEPTH];
    let numbers: &[i16; TILE_DEPTH] = match numbers.try_into() {
        Ok(numbers) => numbers,
        Err(_) => {
            filled[..numbers.len()].copy_from_slice(numbers);
            &filled
        }
    };
    let (mut high, mut low) = (TileLine::ZERO, TileLine::ZERO);
    for half in 0..2 {
        // SAFETY: 32 numbers of 64 are read, and 32 bytes of 64 written.
        unsafe {
            let pairs = _mm512_loadu_si512(numbers.as_ptr().add(half * 32).cast());
            let upper = _mm512_cvtepi16_epi8(_mm512_srai_epi16::<8>(pairs));
            _mm256_storeu_si256(high.0.as_mut_ptr().add(half * 32).cast(), upper);
            _mm256_storeu_si256(low.0.as_mut_ptr().add(half * 32).cast(), _mm512_cvtepi16_epi8(pairs));
        }
    }
    (high, low)
}

/// Sums of `n_chunks` (at least one) products of tiles of pixels and of weights of two lines of outputs, each a tile of high
/// bytes and one of low bytes. For each line: of high and high bytes, of high and low in either order, of low and low.
///
/// # Safety
/// Tiles are configured, all pointers have `n_chunks * PAIR_LINES` lines.
#[inline]
unsafe fn multiply(
    pixels: *const TileLine,
    first: *const TileLine,
    second: *const TileLine,
    n_chunks: usize,
    sums: &mut [[TileLine; SUM_LINES]; LINES_TOGETHER],
) {
    // SAFETY: see above. Reads 2048 bytes of each in each round and writes six tiles of at most 1024 bytes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "tilezero tmm4",
            "tilezero tmm5",
            "2:",
            // High bytes of pixels.
            "tileloadd tmm6, [{pixels} + {line}*1]",
            "tileloadd tmm7, [{second} + {line}*1 + 1024]",
            "tdpbsud tmm4, tmm6, tmm7",
            "tileloadd tmm7, [{second} + {line}*1]",
            "tdpbssd tmm3, tmm6, tmm7",
            "tileloadd tmm7, [{first} + {line}*1]",
            "tdpbssd tmm0, tmm6, tmm7",
            "tileloadd tmm7, [{first} + {line}*1 + 1024]",
            "tdpbsud tmm1, tmm6, tmm7",
            // Low bytes of pixels.
            "tileloadd tmm6, [{pixels} + {line}*1 + 1024]",
            "tdpbuud tmm2, tmm6, tmm7",
            "tileloadd tmm7, [{second} + {line}*1]",
            "tdpbusd tmm4, tmm6, tmm7",
            "tileloadd tmm7, [{second} + {line}*1 + 1024]",
            "tdpbuud tmm5, tmm6, tmm7",
            "tileloadd tmm7, [{first} + {line}*1]",
            "tdpbusd tmm1, tmm6, tmm7",
            "add {pixels}, 2048",
            "add {first}, 2048",
            "add {second}, 2048",
            "dec {left}",
            "jnz 2b",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 1024], tmm1",
            "tilestored [{sums} + {line}*1 + 2048], tmm2",
            "tilestored [{sums} + {line}*1 + 3072], tmm3",
            "tilestored [{sums} + {line}*1 + 4096], tmm4",
            "tilestored [{sums} + {line}*1 + 5120], tmm5",
            pixels = inout(reg) pixels => _,
            first = inout(reg) first => _,
            second = inout(reg) second => _,
            left = inout(reg) n_chunks => _,
            line = in(reg) 64_usize,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// Puts the three sums together, one row for each pixel, and finishes them as [`super::loops`] does.
///
/// # Safety
/// The processor has AVX-512, and the plane has a line at each place.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
unsafe fn store(sums: &[TileLine; SUM_LINES], finish: &Finish, scales: &[f32], places: &[u32], plane: *mut Line) {
    // SAFETY: see above.
    unsafe {
        let [scale, bias, slope] =
            [&finish.scale, &finish.bias, &finish.slope].map(|line| _mm512_load_ps(line.0.as_ptr()));
        for (row, (&pixel_scale, &place)) in scales.iter().zip(places).enumerate() {
            let part = |part: usize| _mm512_load_si512(sums.as_ptr().add(part * TILE_ROWS + row).cast());
            let upper = _mm512_add_epi32(_mm512_slli_epi32::<8>(part(0)), part(1));
            let sum = _mm512_add_epi32(_mm512_slli_epi32::<8>(upper), part(2));
            let number = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(pixel_scale));
            let number = _mm512_fmadd_ps(number, scale, bias);
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(number, _mm512_setzero_ps());
            let number = _mm512_mask_mul_ps(number, negative, number, slope);
            _mm512_store_ps(plane.add(place as usize).cast(), number);
        }
    }
}

/// The weights of 16 neighbouring outputs for each of `depth` inputs as pairs of tiles; see [`Packing::Tiles`].
pub(super) fn pack(depth: usize, first_output: usize, weight: &dyn Fn(usize, usize) -> i16, to: &mut Vec<TileLine>) {
    for chunk in (0..depth).step_by(TILE_DEPTH) {
        let line = |row: usize, byte: &dyn Fn(i16) -> u8| {
            TileLine(std::array::from_fn(|idx| {
                let input = chunk + 4 * row + idx % 4;
                byte(if input < depth { weight(first_output + idx / 4, input) } else { 0 })
            }))
        };
        to.extend((0..TILE_ROWS).map(|row| line(row, &|number| number.to_le_bytes()[1])));
        to.extend((0..TILE_ROWS).map(|row| line(row, &|number| number.to_le_bytes()[0])));
    }
    debug_assert_eq!(LANES * 4, 64, "a line of weights is four bytes of each output");
}
