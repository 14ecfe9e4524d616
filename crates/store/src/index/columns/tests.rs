use likeness_domain::filter::FilterRow;
use likeness_domain::types::{FaceId, FieldName};
use proptest::prelude::*;

use super::*;

/// One field of each type.
fn schema() -> FieldSchema {
    let field = |field_type: FieldType| (FieldName::new(field_type.word()).unwrap(), field_type);
    FieldSchema::new(FieldType::ALL.map(field)).unwrap()
}

#[derive(Debug, Clone)]
struct Row {
    face: FaceId,
    subject: Option<Arc<str>>,
    values: Vec<Option<FieldValue>>,
}

/// Few values of each type, so that filters meet them.
fn value(field_type: FieldType) -> BoxedStrategy<FieldValue> {
    match field_type {
        FieldType::String => text().prop_map(FieldValue::Text).boxed(),
        FieldType::Integer | FieldType::Long => whole().prop_map(FieldValue::Whole).boxed(),
        FieldType::Float | FieldType::Double => real().prop_map(FieldValue::Real).boxed(),
        FieldType::Boolean => any::<bool>().prop_map(FieldValue::Boolean).boxed(),
    }
}

fn text() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec!["a", "b", "ab", "ä", "0"]).prop_map(Arc::from)
}

fn whole() -> impl Strategy<Value = i64> {
    prop_oneof![-3_i64..=3, Just(i64::MIN), Just(i64::MAX)]
}

fn real() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![-1.0, -0.0, 0.0, 0.5, 1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE / 8.0])
}

fn row() -> impl Strategy<Value = Row> {
    let values: Vec<_> = FieldType::ALL.into_iter().map(|field_type| prop::option::of(value(field_type))).collect();
    (1_u64..200, prop::option::of(text()), values).prop_map(|(face, subject, values)| Row {
        face: FaceId::new(face).unwrap(),
        subject,
        values,
    })
}

/// Fields of any position, also of the wrong type and beyond the last.
fn filter() -> impl Strategy<Value = Filter> {
    let field = || 0_usize..8;
    let bound = || {
        let limit = prop_oneof![real(), Just(f64::INFINITY), Just(f64::NEG_INFINITY)];
        prop_oneof![limit.clone().prop_map(Bound::Included), limit.prop_map(Bound::Excluded), Just(Bound::Unbounded)]
    };
    let leaf = prop_oneof![
        (1_u64..200).prop_map(|face| Filter::Face(FaceId::new(face).unwrap())),
        text().prop_map(Filter::Subject),
        Just(Filter::Subject("nobody".into())),
        Just(Filter::HasSubject),
        field().prop_map(|field_idx| Filter::Has { field_idx }),
        (field(), text()).prop_map(|(field_idx, value)| Filter::Text { field_idx, value }),
        (field(), any::<bool>()).prop_map(|(field_idx, value)| Filter::Boolean { field_idx, value }),
        (field(), whole(), whole()).prop_map(|(field_idx, min, max)| Filter::Whole { field_idx, min, max }),
        (field(), bound(), bound()).prop_map(|(field_idx, lower, upper)| Filter::Real { field_idx, lower, upper }),
    ];
    leaf.prop_recursive(4, 24, 4, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 0..4).prop_map(Filter::Every),
            prop::collection::vec(part.clone(), 0..4).prop_map(Filter::AnyOf),
            part.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

#[track_caller]
fn check_plan(filter: &Filter, rows: &[Row], faces: &[FaceId], columns: &Columns, dictionary: &Dictionary) {
    let plan = Plan::new(filter, &schema(), dictionary);
    let passing = plan.rows(&|| faces, columns.all(), rows.len());
    // What is fetched ahead is all that is looked at.
    let mut others = Columns::new(&schema());
    plan.columns()
        .into_iter()
        .for_each(|column_idx| others.0[column_idx] = columns.0[column_idx].copied(&Arena::default()));
    assert_eq!(plan.rows(&|| faces, others.all(), rows.len()), passing, "{filter:?} looks at other columns, too");
    for (row_idx, row) in rows.iter().enumerate() {
        let row = FilterRow { face: row.face, subject: row.subject.as_deref(), values: &row.values };
        assert_eq!(bit(&passing, row_idx), filter.matches(row), "{filter:?} on {row:?}");
    }
    let n_passing: u32 = passing.iter().map(|word| word.count_ones()).sum();
    assert!(n_passing as usize <= rows.len(), "rows beyond the last pass");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_plan_agrees_with_the_definition_on_every_row(
        rows in prop::collection::vec(row(), 0..200),
        overwritten in prop::collection::vec((any::<prop::sample::Index>(), row()), 0..20),
        filters in prop::collection::vec(filter(), 1..8),
    ) {
        let (mut rows, arena) = (rows, Arena::default());
        let (mut columns, mut dictionary) = (Columns::new(&schema()), Dictionary::default());
        let acquire = |row: &Row, dictionary: &mut Dictionary| {
            Cells::acquire(&schema(), row.subject.as_ref(), &row.values, dictionary)
        };
        for (row_idx, row) in rows.iter().enumerate() {
            columns.set(row_idx, &acquire(row, &mut dictionary), &arena);
        }
        for (place, row) in overwritten {
            if !rows.is_empty() {
                let row_idx = place.index(rows.len());
                columns.get(row_idx).release(&mut dictionary);
                columns.set(row_idx, &acquire(&row, &mut dictionary), &arena);
                rows[row_idx] = row;
            }
        }
        let faces: Vec<FaceId> = rows.iter().map(|row| row.face).collect();
        for filter in &filters {
            check_plan(filter, &rows, &faces, &columns, &dictionary);
        }
        // Every use is given back once.
        for row_idx in 0..rows.len() {
            columns.get(row_idx).release(&mut dictionary);
        }
        prop_assert_eq!(dictionary.n_texts(), 0);
    }
}

#[test]
fn a_code_is_used_again_only_when_no_row_has_it() {
    let mut dictionary = Dictionary::default();
    let (anna, bert): (Arc<str>, Arc<str>) = ("anna".into(), "bert".into());
    let code = dictionary.acquire(&anna);
    assert_eq!(dictionary.acquire(&anna), code);
    dictionary.release(code);
    assert_ne!(dictionary.acquire(&bert), code);
    dictionary.release(code);
    assert_eq!(dictionary.find("anna"), None);
    assert_eq!(dictionary.acquire(&"carl".into()), code);
}

#[test]
fn whole_numbers_near_each_other_and_far_apart_are_selected_alike() {
    let far = [i64::MIN, i64::MIN + 200, -1, 0, 1, i64::MAX - 200, i64::MAX];
    for first in far {
        // A byte each at first, then one that is too far away, and one without a number.
        let near = (-130..130).map(|step| first.saturating_add(step));
        let numbers: Vec<Option<i64>> =
            [Some(first), None].into_iter().chain(near.map(Some)).chain(far.map(Some)).chain([None]).collect();
        let (mut column, arena) = (Column::of(FieldType::Long), Arena::default());
        for (row, number) in numbers.iter().enumerate() {
            column.set(row, number.map_or(Cell::Absent, Cell::Whole), &arena);
            let Column::Whole { values, present } = &column else { panic!("a column of whole numbers") };
            let ends = [first.saturating_sub(128), first.saturating_add(127), first, 0, i64::MIN, i64::MAX];
            for (min, max) in ends.into_iter().flat_map(|min| ends.map(|max| (min, max))) {
                let mut rows = values.rows(min, max);
                and(&mut rows, present);
                for (row, number) in numbers[..=row].iter().enumerate() {
                    let passes = number.is_some_and(|number| min <= number && number <= max);
                    assert_eq!(bit(&rows, row), passes, "{number:?} of {first} from {min} to {max}");
                }
            }
        }
        for (row, number) in numbers.iter().enumerate() {
            assert_eq!(column.get(row), number.map_or(Cell::Absent, Cell::Whole));
        }
    }
}

#[test]
fn numbers_of_a_full_segment_near_each_other_are_kept_in_the_arena_as_they_were() {
    let arena = Arena::default();
    let mut column = Column::of(FieldType::Integer);
    let number = |row: usize| (row % 100) as i64;
    (0..SEGMENT_ROWS).for_each(|row| column.set(row, Cell::Whole(number(row)), &arena));
    let before = column.copied(&arena);
    column.set(7, Cell::Whole(-100), &arena);
    column.set(8, Cell::Absent, &arena);
    assert!(arena.n_bytes() > 0, "nothing is in the arena");
    // The first that is far away takes all of them out of it.
    let mut far = column.copied(&arena);
    far.set(9, Cell::Whole(i64::MAX), &arena);
    for row in 0..SEGMENT_ROWS {
        let cell = match row {
            7 => Cell::Whole(-100),
            8 => Cell::Absent,
            _ => Cell::Whole(number(row)),
        };
        assert_eq!((column.get(row), before.get(row)), (cell, Cell::Whole(number(row))), "row {row}");
        assert_eq!(far.get(row), if row == 9 { Cell::Whole(i64::MAX) } else { cell }, "row {row}");
    }
    drop((column, before, far));
    assert_eq!(arena.n_bytes(), 0);
}
