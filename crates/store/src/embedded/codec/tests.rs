use super::*;
use proptest::prelude::*;

fn any_value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        ".{1,20}".prop_map(|text| FieldValue::Text(text.into())),
        any::<i64>().prop_map(FieldValue::Whole),
        proptest::num::f64::NORMAL.prop_map(FieldValue::Real),
        any::<bool>().prop_map(FieldValue::Boolean),
    ]
}

proptest! {
    #[test]
    fn fields_come_back(values in proptest::collection::vec(("[A-Za-z0-9_-]{1,36}", any_value()), 0..12)) {
        let fields = FieldValues::new(values.into_iter().map(|(name, value)| (FieldName::new(&name).unwrap(), value)));
        let bytes = fields_bytes(&fields);
        prop_assert_eq!(bytes.is_none(), fields.values().is_empty());
        prop_assert_eq!(fields_of(bytes.as_deref()).unwrap(), fields);
    }

    #[test]
    fn damaged_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = fields_of(Some(&bytes));
        let _ = detection_of(&bytes);
        let _ = quality_of(Some(&bytes));
        let _ = template_of("default-1", &bytes);
        let _ = tenant_of(&bytes);
    }

    #[test]
    fn detections_come_back(whole in any::<[u32; 4]>(), real in proptest::array::uniform11(-1e6_f32..1e6)) {
        let point = |point_idx: usize| Point { x: real[1 + 2 * point_idx], y: real[2 + 2 * point_idx] };
        let detection = Detection {
            bounding_box: BoundingBox { left: whole[0], top: whole[1], width: whole[2], height: whole[3] },
            score: real[0],
            landmarks: Landmarks([point(0), point(1), point(2), point(3), point(4)]),
        };
        prop_assert_eq!(detection_of(&detection_bytes(&detection)).unwrap(), detection);
    }

    #[test]
    fn qualities_come_back(figures in proptest::array::uniform5(proptest::option::of(0.0_f32..=1.0))) {
        let [total, sharpness, illumination, pose, visibility] = figures;
        let quality = Quality { total, sharpness, illumination, pose, visibility };
        prop_assert_eq!(quality_of(quality_bytes(&quality).as_deref()).unwrap(), quality);
    }

    #[test]
    fn templates_come_back_bit_by_bit(raw in proptest::collection::vec(-1.0_f32..1.0, 1..600)) {
        prop_assume!(raw.iter().any(|number| number.abs() > 1e-3));
        let template = Template::new(PackId::new("default-1").unwrap(), &raw).unwrap();
        prop_assert!(template_of("default-1", &vector_bytes(&template)).unwrap() == template);
    }
}

#[test]
fn schemas_come_back() {
    let names = ["age", "a-b_c", "Zip"];
    let types = [FieldType::Integer, FieldType::String, FieldType::Boolean];
    let schema = FieldSchema::new(names.map(|name| FieldName::new(name).unwrap()).into_iter().zip(types)).unwrap();
    assert_eq!(schema_text(&schema), "age:integer,a-b_c:string,Zip:boolean");
    assert_eq!(schema_of(&schema_text(&schema)).unwrap(), schema);
    assert_eq!(schema_of("").unwrap(), FieldSchema::default());
    assert!(schema_of("age").is_err());
    assert!(schema_of("age:quaternion").is_err());
}

#[test]
fn a_flipped_bit_in_a_template_is_noticed() {
    let template = Template::new(PackId::new("default-1").unwrap(), &[0.6, 0.8]).unwrap();
    let mut bytes = vector_bytes(&template);
    bytes[3] ^= 0x40; // An exponent bit: the vector is no longer of unit length.
    assert!(matches!(template_of("default-1", &bytes), Err(Failure::Damaged(_))));
    assert!(matches!(template_of("default-1", &bytes[..7]), Err(Failure::Damaged(_))));
}
