use likeness_domain::types::Template;

use super::*;
use crate::index::kernel::{CodeLine, FloatLine, RowSizes};
use crate::index::segment::VectorBuffer;

const DIMENSIONS: usize = 20;

fn gallery() -> Gallery {
    Gallery::new(FaceSetId::new(1).unwrap(), PackId::new("pack-1").unwrap(), Arc::default(), 1, Backing::default())
}

fn entry(number: u64) -> GalleryEntry {
    let raw: Vec<f32> = (0..DIMENSIONS).map(|idx| (number as f32 + idx as f32).sin() + 2.0).collect();
    GalleryEntry {
        face: FaceId::new(number).unwrap(),
        sequence: number,
        person: None,
        template: Template::new(PackId::new("pack-1").unwrap(), &raw).unwrap(),
        subject: Some(format!("subject {}", number % 10).into()),
        values: Box::new([]),
    }
}

fn put(gallery: &Gallery, numbers: impl Iterator<Item = u64>) {
    gallery.apply(numbers.map(|number| RowChange::Put(entry(number))).collect());
}

fn remove(gallery: &Gallery, numbers: impl Iterator<Item = u64>) {
    gallery.apply(numbers.map(|number| RowChange::Remove(FaceId::new(number).unwrap())).collect());
}

fn segments(gallery: &Gallery) -> Arc<Vec<SharedSegment>> {
    gallery.snapshot([]).0.segments
}

#[test]
fn a_removed_template_is_overwritten() {
    let gallery = gallery();
    put(&gallery, 1..=40);
    remove(&gallery, (1..=40).filter(|number| number % 2 == 0));
    for segment in segments(&gallery).iter() {
        assert_eq!(segment.n_rows(), 20);
        for row in 0..20 {
            assert!(
                segment.vector(row, &mut VectorBuffer::default()).unwrap().iter().any(|line| *line != FloatLine::ZERO),
                "row {row} is in use"
            );
        }
        for row in 20..40 {
            assert!(
                segment.vector(row, &mut VectorBuffer::default()).unwrap().iter().all(|line| *line == FloatLine::ZERO),
                "numbers of row {row} are left"
            );
        }
        let rows = segment.coarse_rows(None);
        assert!(rows.coarse[..20].iter().all(|line| *line != CodeLine::ZERO), "rows 0..20 are in use");
        assert!(rows.coarse[20..].iter().all(|line| *line == CodeLine::ZERO), "codes of removed rows are left");
        assert!(
            (20..rows.coarse.len()).all(|row| segment.fine_rows().line(row)[0] == CodeLine::ZERO),
            "codes of removed rows are left"
        );
        assert!(rows.sizes[20..].iter().all(|sizes| *sizes == RowSizes::default()), "sizes of removed rows are left");
    }
}

#[test]
fn fifth_bits_stay_with_their_rows_and_those_of_removed_rows_are_overwritten() {
    let dimensions = 300;
    let gallery = gallery();
    let change = |number: u64| {
        let raw: Vec<f32> = (0..dimensions).map(|idx| (number as f32 * 0.7 + (idx * idx) as f32).sin()).collect();
        let template = Template::new(PackId::new("pack-1").unwrap(), &raw).unwrap();
        RowChange::Put(GalleryEntry { template, ..entry(number) })
    };
    let n_rows = SEGMENT_ROWS as u64 + 40;
    gallery.apply((1..=n_rows).map(change).collect());
    // From the full segment, to which rows of the last one move, and from the last one.
    remove(&gallery, (1..=n_rows).filter(|number| number % 50 == 1));
    for segment in segments(&gallery).iter() {
        let (fifth, fine) = (segment.fifth_rows().expect("more than 128 numbers"), segment.fine_rows());
        for row in 0..segment.n_rows() {
            let bits: Vec<bool> = fine
                .line(row)
                .iter()
                .flat_map(|line| [(line, 8), (line, 128)])
                .flat_map(|(line, mask)| line.0.iter().map(move |byte| byte & mask != 0))
                .collect();
            let words = fifth.words(row);
            assert!(
                bits.iter().enumerate().all(|(idx, &bit)| (words[idx / 64] >> (idx % 64) & 1 == 1) == bit),
                "{row}"
            );
            assert!(fifth.residuals[row] > 0, "row {row}");
        }
        assert!(fifth.residuals[segment.n_rows()..].iter().all(|residual| *residual == 0));
        assert!(fifth.bits[segment.n_rows() * fifth.words(0).len()..].iter().all(|word| *word == 0), "bits are left");
    }
}

#[test]
fn rows_fill_segments_without_gaps_whatever_is_removed() {
    let n_rows = 3 * SEGMENT_ROWS as u64 + 5;
    let gallery = gallery();
    put(&gallery, 1..=n_rows);
    // From the first, the middle and the last segment, until one segment is gone.
    remove(&gallery, (1..=n_rows).filter(|number| number % 3 == 1));
    let left: Vec<u64> = (1..=n_rows).filter(|number| number % 3 != 1).collect();
    let segments = segments(&gallery);
    let n_in_segments: Vec<usize> = segments.iter().map(|segment| segment.n_rows()).collect();
    assert_eq!(n_in_segments, [SEGMENT_ROWS, SEGMENT_ROWS, left.len() - 2 * SEGMENT_ROWS]);
    let mut faces = Vec::new();
    for segment in segments.iter() {
        for row in 0..segment.n_rows() {
            let face = segment.label(row).face.get();
            let mut buffer = VectorBuffer::default();
            let numbers = segment.vector(row, &mut buffer).unwrap().iter().flat_map(|line| line.0).take(DIMENSIONS);
            assert!(numbers.eq(entry(face).template.unit().iter().copied()), "face {face} has another's numbers");
            faces.push(face);
        }
    }
    faces.sort_unstable();
    assert_eq!(faces, left);
}

#[test]
fn a_subject_without_a_face_is_forgotten() {
    let gallery = gallery();
    put(&gallery, 1..=30);
    assert_eq!(gallery.n_texts(), 10);
    remove(&gallery, (1..=30).filter(|number| number % 10 != 4));
    assert_eq!(gallery.n_texts(), 1);
    remove(&gallery, [4, 14, 24].into_iter());
    assert_eq!((gallery.n_texts(), gallery.n_rows()), (0, 0));
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let gallery = gallery();
    put(&gallery, 1..=20);
    let before = segments(&gallery);
    let numbers: Vec<FloatLine> =
        (0..20).flat_map(|row| before[0].vector(row, &mut VectorBuffer::default()).unwrap().to_vec()).collect();
    remove(&gallery, 1..=10);
    put(&gallery, 100..=2000);
    assert_eq!((before.len(), before[0].n_rows()), (1, 20));
    let after: Vec<FloatLine> =
        (0..20).flat_map(|row| before[0].vector(row, &mut VectorBuffer::default()).unwrap().to_vec()).collect();
    assert_eq!(numbers, after);
}

#[test]
fn a_gallery_that_is_empty_again_takes_templates_of_any_length() {
    let gallery = gallery();
    put(&gallery, 1..=3);
    remove(&gallery, 1..=3);
    let short = Template::new(PackId::new("pack-1").unwrap(), &[1.0, 2.0]).unwrap();
    gallery.apply(vec![RowChange::Put(GalleryEntry { template: short, ..entry(9) })]);
    assert_eq!(gallery.n_rows(), 1);
}
