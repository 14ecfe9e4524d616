//! Plain Rust: what the other kernels are tested against, and the path of every processor without one of its own.

use super::{
    BatchMin, BoundTerms, CodeLine, FloatLine, GROUP_ROWS, Kernel, ProbeLine, RowSizes, TILE_PROBES, bit_sums_by_bit,
    list_bits, refine_by_row, scan_batch_by_tiles, scan_by_group, scan_list_by_row, scan_tiles_by_group, select_byte,
    select_code, select_real, select_whole, unpack_whole_by_byte,
};

pub(super) static KERNEL: Kernel = Kernel {
    name: "scalar",
    scan: |rows, groups, wanted, probe, cutoff, found| {
        scan_by_group((rows, groups, wanted), (probe, cutoff, found), code_sum, reaching);
    },
    scan_listed: |rows, list, probe, cutoff, found| scan_list_by_row((rows, list), (probe, cutoff, found), code_sum),
    bit_sums: |rows, found, probe| bit_sums_by_bit(rows, found, probe),
    refine: |rows, found, probe, cutoff, near| refine_by_row((rows, found), (probe, cutoff, near), code_sum),
    has_whole_tiles: true,
    has_tile_registers: false,
    batch_min: BatchMin { coarse: 4, finer: 4 },
    scan_batch: scan_batch_by_tiles,
    unpack: unpack_whole_by_byte,
    scan_tiles: |tiles, probes, cutoffs, found| {
        scan_tiles_by_group(tiles, (probes, cutoffs, found), tile_sums, reaching);
    },
    code_sum,
    dot,
    select_byte,
    select_code,
    select_whole,
    select_real,
    list: list_bits,
};

fn code_sum(row: &[CodeLine], probe: &[ProbeLine]) -> i32 {
    let mut sum = 0;
    for (line, probe) in row.iter().zip(probe) {
        let (low, high) = probe.0.split_at(64);
        for ((&byte, &low), &high) in line.0.iter().zip(low).zip(high) {
            sum += i32::from(byte & 15) * i32::from(low) + i32::from(byte >> 4) * i32::from(high);
        }
    }
    sum
}

fn tile_sums(tile: &[CodeLine], quads: &[[[i8; 4]; TILE_PROBES]]) -> [[i32; GROUP_ROWS]; TILE_PROBES] {
    let mut sums = [[0; GROUP_ROWS]; TILE_PROBES];
    for (line, quads) in tile.iter().zip(quads) {
        for (sums, quad) in sums.iter_mut().zip(quads) {
            for (sum, codes) in sums.iter_mut().zip(line.0.as_chunks::<4>().0) {
                *sum += codes.iter().zip(quad).map(|(&code, &probe)| i32::from(code) * i32::from(probe)).sum::<i32>();
            }
        }
    }
    sums
}

fn reaching(sums: &[i32; GROUP_ROWS], sizes: &[RowSizes; GROUP_ROWS], terms: &BoundTerms, cutoff: f32) -> u16 {
    let bounds: [f32; GROUP_ROWS] = std::array::from_fn(|lane| terms.coarse_bound(sums[lane], sizes[lane]));
    // Nearly every group has no such row: looking at all sixteen without branches first is cheapest.
    if !bounds.iter().fold(false, |any, &bound| any | (bound >= cutoff)) {
        return 0;
    }
    bounds.iter().enumerate().fold(0, |mask, (lane, &bound)| mask | u16::from(bound >= cutoff) << lane)
}

fn dot(a: &[FloatLine], b: &[FloatLine]) -> f64 {
    let mut sums = [0.0_f64; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.0.iter().zip(&b.0)) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}
