//! Products of tiles of bytes (AMX) for many probes; everything else with AVX-512.
//!
//! A tile register holds 64 dimensions of sixteen rows, or of sixteen probes; an instruction multiplies all of these with
//! all of those, 256 sums of 64 products each. Two registers of rows and two of probes are multiplied with each other at a
//! time, so that each load is used twice.
//!
//! # The comparison
//! Of a tile of sums it is first asked whether any row of the group can reach the cutoff `θ` of any probe. With the sum
//! `K' = Σ(kᵢ - 128)rᵢ`, so that `2K - 255R = 2K' + R` in the words of `quantise`, row `i` reaches it if
//!
//! ```text
//! sᵢ·t/2·(2K'ᵢ + R) + |eᵢ|·w + slack >= θ         where w = |p| + |f|
//! ```
//!
//! Divided by `t`, and with the greatest scale `S` and the greatest residual `E` of the group in the terms that hardly
//! differ between rows, some row of the group can reach it only if
//!
//! ```text
//! max(sᵢ·K'ᵢ) >= (θ - slack)/t - E·w/t - S·max(R, 0)/2
//! ```
//!
//! which takes a conversion, a multiplication and a maximum for sixteen sums. The right side is one number for a group and
//! a probe. Its six roundings are of numbers as large as those of the bound itself, and `quantise` allows for more. Only if
//! the tile passes, the bound of each row is computed.
#![expect(unsafe_code, reason = "instructions that the processor and the system were asked for at run time")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;
use std::sync::OnceLock;

use super::avx512::{self, Bounds};
use super::{
    BLOCK_GROUPS, BatchCodes, BatchMin, BatchProbes, BatchRows, BatchScratch, BoundTerms, CodeLine, FloatLine,
    FoundRow, GROUP_ROWS, Kernel, RowSizes, push_rows,
};

/// The kernel, if this processor can run it and the system lets this process use tiles.
pub(super) fn available() -> Option<&'static Kernel> {
    static USABLE: OnceLock<bool> = OnceLock::new();
    let usable = || avx512::available().is_some() && has_tiles() && may_use_tiles();
    USABLE.get_or_init(usable).then_some(&KERNEL)
}

// Reached through `available` only, which has asked for all of it.
static KERNEL: Kernel = Kernel {
    name: "avx512-amx",
    has_tile_registers: true,
    batch_min: BatchMin { coarse: 4, finer: 4 },
    // SAFETY: the processor and the system let this process use tiles, see above; `Kernel` has checked the lengths.
    scan_batch: |_, rows, groups, probes, cutoffs, scratch, found| unsafe {
        scan_batch(rows, groups, probes, cutoffs, scratch, found);
    },
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
    /// Linux, `arch/x86/include/uapi/asm/prctl.h`, and the number of the state component in the processor's manual.
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let answer: i64;
    // SAFETY: a system call that changes nothing but what this process may use; it leaves all registers but these as
    // they are.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    answer == 0
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

/// Tiles 0 to 3 for sums, 4 and 5 for rows, 6 and 7 for probes, all of sixteen lines of 64 bytes.
static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    n_rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Lines of a tile register.
const LINES: usize = 16;

/// Groups, and sixteens of probes, that are multiplied with each other at a time.
const PAIR: usize = 2;

/// Most rows of a block.
const BLOCK_ROWS: usize = BLOCK_GROUPS * GROUP_ROWS;

/// Sums of two groups with two sixteens of probes: line `i` of tile `2a + b` has those of row `i` of group `a` with the
/// sixteen probes `b`.
type Sums = [[CodeLine; LINES]; PAIR * PAIR];

/// What a sixteen of probes is compared by; see the module's page.
struct Thresholds {
    /// (θ - slack)/t
    constant: FloatLine,
    /// w/t
    of_residual: FloatLine,
    /// max(R, 0)/2
    of_scale: FloatLine,
}

impl Thresholds {
    fn of(terms: &[BoundTerms], cutoffs: &[f32]) -> Self {
        // Places without a probe find nothing.
        let (mut constant, mut of_residual, mut of_scale) =
            (FloatLine([f32::INFINITY; 16]), FloatLine::ZERO, FloatLine::ZERO);
        for (lane, (terms, &cutoff)) in terms.iter().zip(cutoffs).enumerate().take(LINES) {
            of_scale.0[lane] = 0.5 * terms.code_sum.max(0) as f32;
            // Codes that are all zero exclude nothing.
            let is_excluding = terms.scale > 0.0 || cutoff == f32::INFINITY;
            constant.0[lane] = if is_excluding { (cutoff - terms.slack) / terms.scale } else { f32::NEG_INFINITY };
            of_residual.0[lane] = if terms.scale > 0.0 { terms.residual_weight / terms.scale } else { 0.0 };
        }
        Self { constant, of_residual, of_scale }
    }
}

/// What the comparison needs of a block's rows.
struct BlockSizes {
    scales: [f32; BLOCK_ROWS],
    /// Of each group.
    scale_max: [f32; BLOCK_GROUPS],
    residual_max: [f32; BLOCK_GROUPS],
    whole: [RowSizes; BLOCK_ROWS],
}

impl BlockSizes {
    /// Of the rows from `first_row`, as many as a block has at most.
    ///
    /// # Safety
    /// The processor has AVX-512 F; the groups are there.
    #[target_feature(enable = "avx512f")]
    unsafe fn set(&mut self, rows: &BatchRows<'_>, first_row: usize, n_groups: usize) {
        let groups = self.scales.as_chunks_mut::<GROUP_ROWS>().0.iter_mut();
        let groups = groups.zip(self.whole.as_chunks_mut::<GROUP_ROWS>().0).enumerate().take(n_groups);
        for (group, (scales, whole)) in groups {
            let first = first_row + group * GROUP_ROWS;
            // SAFETY: sixteen sizes of 32 bits and sixteen residuals of 16 follow, and there is room for sixteen numbers of
            // 32 bits; neither needs to be aligned.
            unsafe {
                let sizes = _mm512_loadu_si512(rows.rows.sizes.as_ptr().add(first).cast());
                let residuals = _mm512_cvtepu16_epi32(_mm256_loadu_si256(rows.residuals.as_ptr().add(first).cast()));
                let upper = _mm512_and_si512(sizes, _mm512_set1_epi32(0xffff_0000_u32 as i32));
                _mm512_storeu_si512(scales.as_mut_ptr().cast(), upper);
                _mm512_storeu_si512(whole.as_mut_ptr().cast(), _mm512_or_si512(upper, residuals));
                self.scale_max[group] = _mm512_reduce_max_ps(_mm512_castsi512_ps(upper));
                self.residual_max[group] =
                    _mm512_reduce_max_ps(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(residuals)));
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI and tiles may be used; lengths are as `Kernel::scan_batch` checks them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan_batch(
    rows: &BatchRows<'_>,
    groups: Range<usize>,
    probes: &BatchProbes,
    cutoffs: &[f32],
    scratch: &mut BatchScratch,
    found: &mut [Vec<FoundRow>],
) {
    let BatchCodes::Sixteens(sixteens) = &probes.codes else { return };
    let n_halves = 2 * rows.rows.n_lines;
    let n_block_groups = (BLOCK_GROUPS / rows.rows.n_lines).max(PAIR);
    let n_pairs_of_probes = sixteens.len() / (PAIR * n_halves * LINES);
    let thresholds: Vec<Thresholds> = (0..PAIR * n_pairs_of_probes)
        .map(|idx| {
            let first = (idx * LINES).min(probes.len());
            Thresholds::of(&probes.terms[first..], &cutoffs[first..])
        })
        .collect();
    scratch.lines.resize(n_block_groups * GROUP_ROWS * n_halves, CodeLine::ZERO);
    let mut sizes = BlockSizes {
        scales: [0.0; BLOCK_ROWS],
        scale_max: [0.0; BLOCK_GROUPS],
        residual_max: [0.0; BLOCK_GROUPS],
        whole: [RowSizes::default(); BLOCK_ROWS],
    };
    let mut sums: Sums = [[CodeLine::ZERO; LINES]; PAIR * PAIR];
    // SAFETY: tiles may be used. No tile is used between this and their release but by what multiplies here.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, preserves_flags, readonly)) };
    for first in groups.clone().step_by(n_block_groups) {
        let n_groups = n_block_groups.min(groups.end - first);
        // SAFETY: the groups are there, and there is room for as many.
        unsafe {
            unpack(rows, first, n_groups, &mut scratch.lines);
            sizes.set(rows, first * GROUP_ROWS, n_groups);
        }
        // The next block is fetched while this one is multiplied, a few lines at a time.
        let n_steps = n_pairs_of_probes * n_groups.div_ceil(PAIR);
        let mut ahead = Ahead::of(rows, first + n_groups, n_block_groups, n_steps);
        let mut compare = |sums: &Sums, pair_of_probes: usize, group: usize| {
            let masks = passing(sums, &sizes, group, &thresholds[PAIR * pair_of_probes..][..PAIR]);
            // Nearly always none.
            if masks == [[0; PAIR]; PAIR] {
                return;
            }
            for (idx, masks) in masks.into_iter().enumerate().take(n_groups - group) {
                for (sixteen, mask) in masks.into_iter().enumerate() {
                    let tile = &sums[PAIR * idx + sixteen];
                    let first_probe = (PAIR * pair_of_probes + sixteen) * LINES;
                    let first_row = (first + group + idx) * GROUP_ROWS;
                    let sizes = &sizes.whole[(group + idx) * GROUP_ROWS..][..GROUP_ROWS];
                    look_closer((tile, mask), (probes, cutoffs, first_probe), (sizes, first_row), found);
                }
            }
        };
        for pair_of_probes in 0..n_pairs_of_probes {
            // SAFETY: there are as many lines of the probes.
            let codes = unsafe { sixteens.as_ptr().add(pair_of_probes * PAIR * n_halves * LINES) };
            if n_halves == HELD_HALVES {
                // SAFETY: tiles are configured, and there are two halves of two sixteens.
                unsafe { hold(codes) };
            }
            for group in (0..n_groups).step_by(PAIR) {
                ahead.fetch();
                // SAFETY: the block has room for whole pairs of groups, and there are as many lines of the probes, which
                // are held if a row has two halves.
                unsafe {
                    let rows = scratch.lines.as_ptr().add(group * GROUP_ROWS * n_halves);
                    match n_halves {
                        HELD_HALVES => multiply_by_held(rows, &mut sums),
                        _ => multiply(rows, codes, n_halves, &mut sums),
                    }
                }
                compare(&sums, pair_of_probes, group);
            }
        }
    }
    // SAFETY: as above.
    unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
}

/// For each of two groups and two sixteens of probes, the probes whose cutoff a row of the group may reach.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn passing(sums: &Sums, sizes: &BlockSizes, group: usize, thresholds: &[Thresholds]) -> [[u16; PAIR]; PAIR] {
    let none = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut greatest = [[none; PAIR]; PAIR];
    for row in 0..GROUP_ROWS {
        for (idx, greatest) in greatest.iter_mut().enumerate() {
            let scale = _mm512_set1_ps(sizes.scales[((group + idx) * GROUP_ROWS + row) % BLOCK_ROWS]);
            for (sixteen, greatest) in greatest.iter_mut().enumerate() {
                // SAFETY: a line is sixteen sums, aligned to 64 bytes.
                let sums = unsafe { _mm512_load_si512(sums[PAIR * idx + sixteen][row].0.as_ptr().cast()) };
                *greatest = _mm512_max_ps(*greatest, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale));
            }
        }
    }
    std::array::from_fn(|idx| {
        let scale = _mm512_set1_ps(sizes.scale_max[(group + idx) % BLOCK_GROUPS]);
        let residual = _mm512_set1_ps(sizes.residual_max[(group + idx) % BLOCK_GROUPS]);
        std::array::from_fn(|sixteen| {
            let thresholds = &thresholds[sixteen];
            // SAFETY: sixteen floats, aligned to 64 bytes.
            let load = |line: &FloatLine| unsafe { _mm512_load_ps(line.0.as_ptr()) };
            let of_residual = _mm512_fnmadd_ps(residual, load(&thresholds.of_residual), load(&thresholds.constant));
            let threshold = _mm512_fnmadd_ps(scale, load(&thresholds.of_scale), of_residual);
            _mm512_cmp_ps_mask::<_CMP_GE_OQ>(greatest[idx][sixteen], threshold)
        })
    })
}

/// Puts the rows of a group whose bound reaches the cutoff on the lists of those probes that are in the mask.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline(never)]
fn look_closer(
    (tile, mut mask): (&[CodeLine; LINES], u16),
    (probes, cutoffs, first_probe): (&BatchProbes, &[f32], usize),
    (sizes, first_row): (&[RowSizes], usize),
    found: &mut [Vec<FoundRow>],
) {
    // SAFETY: sixteen sizes of 32 bits; the load needs no alignment.
    let sizes = unsafe { _mm512_loadu_si512(sizes[..GROUP_ROWS].as_ptr().cast()) };
    let rows = _mm512_mullo_epi32(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
        _mm512_set1_epi32(LINES as i32),
    );
    while mask != 0 {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        let Some(terms) = probes.terms.get(first_probe + lane) else { continue };
        // SAFETY: element `lane` of sixteen lines of sixteen numbers.
        let sums = unsafe { _mm512_i32gather_epi32::<4>(rows, tile.as_ptr().cast::<i32>().add(lane).cast()) };
        // Those of codes from 0.
        let sums = _mm512_add_epi32(sums, _mm512_set1_epi32(128 * terms.code_sum));
        let reaching = Bounds::new(&terms.of_whole_codes(), cutoffs[first_probe + lane]).reaching(sums, sizes);
        push_rows(reaching, |lane| first_row + lane, &avx512::lanes(sums), &mut found[first_probe + lane]);
    }
}

/// Lines of both planes that are fetched in equal steps.
struct Ahead {
    next: [*const CodeLine; 2],
    n_left: usize,
    n_lines_a_step: usize,
}

impl Ahead {
    fn of(rows: &BatchRows<'_>, first_group: usize, n_groups: usize, n_steps: usize) -> Self {
        let first = first_group * GROUP_ROWS * rows.rows.n_lines;
        let n_left = n_groups * GROUP_ROWS * rows.rows.n_lines;
        let planes = [(rows.rows.coarse, rows.rows.next_coarse), (rows.fine, rows.next_fine)];
        let next = planes.map(|(plane, next)| match first < plane.len() {
            true => plane.as_ptr().wrapping_add(first),
            false => next.as_ptr(),
        });
        Self { next, n_left, n_lines_a_step: n_left.div_ceil(n_steps.max(1)) }
    }

    /// Beyond the planes' end it is allowed and harmless.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn fetch(&mut self) {
        let n_lines = self.n_lines_a_step.min(self.n_left);
        self.n_left -= n_lines;
        for next in &mut self.next {
            for line in 0..n_lines {
                _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(line).cast());
            }
            *next = next.wrapping_add(n_lines);
        }
    }
}

/// Makes bytes of the codes of some groups, less 128: for each pair of groups and each 64 dimensions a line of each row.
///
/// # Safety
/// The processor has AVX-512 F and BW; the groups are there and `lines` has room for them.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn unpack(rows: &BatchRows<'_>, first_group: usize, n_groups: usize, lines: &mut [CodeLine]) {
    const PAIR_ROWS: usize = PAIR * GROUP_ROWS;
    let n_lines = rows.rows.n_lines;
    let (low_half, middle) = (_mm512_set1_epi8(15), _mm512_set1_epi8(i8::MIN));
    // Bits of the second where the first has ones, else those of the third.
    const CHOOSE: i32 = 0xca;
    for row in 0..n_groups * GROUP_ROWS {
        let from = (first_group * GROUP_ROWS + row) * n_lines;
        let to = row / PAIR_ROWS * PAIR_ROWS * 2 * n_lines + row % PAIR_ROWS;
        for line in 0..n_lines {
            // SAFETY: see above; all lines are 64 bytes, aligned to 64.
            unsafe {
                let coarse = _mm512_load_si512(rows.rows.coarse.as_ptr().add(from + line).cast());
                let fine = _mm512_load_si512(rows.fine.as_ptr().add(from + line).cast());
                let low = _mm512_ternarylogic_epi32::<CHOOSE>(low_half, fine, _mm512_slli_epi16::<4>(coarse));
                let high = _mm512_ternarylogic_epi32::<CHOOSE>(low_half, _mm512_srli_epi16::<4>(fine), coarse);
                let to = lines.as_mut_ptr().add(to + 2 * line * PAIR_ROWS);
                _mm512_store_si512(to.cast(), _mm512_xor_si512(low, middle));
                _mm512_store_si512(to.add(PAIR_ROWS).cast(), _mm512_xor_si512(high, middle));
            }
        }
    }
}

/// Sums of two groups of rows with two sixteens of probes: `n_halves` (at least one) times four products of tiles.
///
/// # Safety
/// Tiles are configured; `rows` has `n_halves` times 32 lines, and `probes` twice `n_halves` times sixteen.
#[inline]
unsafe fn multiply(rows: *const CodeLine, probes: *const CodeLine, n_halves: usize, sums: &mut Sums) {
    // SAFETY: see above. Reads 2048 bytes of the rows and 1024 of each sixteen of probes in each round, writes four tiles of
    // 1024 bytes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{rows} + {line}*1]",
            "tileloadd tmm6, [{first} + {line}*1]",
            "tdpbssd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{second} + {line}*1]",
            "tdpbssd tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{rows} + {line}*1 + 1024]",
            "tdpbssd tmm2, tmm5, tmm6",
            "tdpbssd tmm3, tmm5, tmm7",
            "add {rows}, 2048",
            "add {first}, 1024",
            "add {second}, 1024",
            "dec {left}",
            "jnz 2b",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 1024], tmm1",
            "tilestored [{sums} + {line}*1 + 2048], tmm2",
            "tilestored [{sums} + {line}*1 + 3072], tmm3",
            rows = inout(reg) rows => _,
            first = inout(reg) probes => _,
            second = inout(reg) probes.add(n_halves * LINES) => _,
            left = inout(reg) n_halves => _,
            line = in(reg) 64_usize,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

/// Halves of a row's only line: probes of as many fit into four registers, and stay there for all rows of a block.
const HELD_HALVES: usize = 2;

/// Loads two sixteens of probes, of two halves each, into tiles 4 to 7.
///
/// # Safety
/// Tiles are configured; `probes` has four times sixteen lines.
#[inline]
unsafe fn hold(probes: *const CodeLine) {
    // SAFETY: see above.
    unsafe {
        asm!(
            "tileloadd tmm4, [{probes} + {line}*1]",
            "tileloadd tmm5, [{probes} + {line}*1 + 1024]",
            "tileloadd tmm6, [{probes} + {line}*1 + 2048]",
            "tileloadd tmm7, [{probes} + {line}*1 + 3072]",
            probes = in(reg) probes,
            line = in(reg) 64_usize,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, preserves_flags, readonly)
        );
    }
}

/// As [`multiply`], with the probes of [`hold`].
///
/// # Safety
/// As of [`multiply`]; no tile was used since [`hold`] but here.
#[inline]
unsafe fn multiply_by_held(rows: *const CodeLine, sums: &mut Sums) {
    // SAFETY: see above. Reads 4096 bytes of the rows, writes four tiles of 1024 bytes.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tileloadd tmm2, [{rows} + {line}*1]",
            "tdpbssd tmm0, tmm2, tmm4",
            "tilezero tmm1",
            "tdpbssd tmm1, tmm2, tmm6",
            "tileloadd tmm3, [{rows} + {line}*1 + 2048]",
            "tdpbssd tmm0, tmm3, tmm5",
            "tdpbssd tmm1, tmm3, tmm7",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 1024], tmm1",
            "tilezero tmm0",
            "tileloadd tmm2, [{rows} + {line}*1 + 1024]",
            "tdpbssd tmm0, tmm2, tmm4",
            "tilezero tmm1",
            "tdpbssd tmm1, tmm2, tmm6",
            "tileloadd tmm3, [{rows} + {line}*1 + 3072]",
            "tdpbssd tmm0, tmm3, tmm5",
            "tdpbssd tmm1, tmm3, tmm7",
            "tilestored [{sums} + {line}*1 + 2048], tmm0",
            "tilestored [{sums} + {line}*1 + 3072], tmm1",
            rows = in(reg) rows,
            line = in(reg) 64_usize,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            options(nostack, preserves_flags)
        );
    }
}
