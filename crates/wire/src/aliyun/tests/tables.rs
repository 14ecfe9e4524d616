//! Tables that must not change unseen: codes, the scale.

use expect_test::expect;
use likeness_domain::Kind;
use likeness_domain::score::{Calibration, OperatingPoint};
use likeness_domain::types::Similarity;

use crate::aliyun::Settings;
use crate::aliyun::client_info::{ClientInfo, fuzz_client_info};
use crate::aliyun::errors::code_of;
use crate::aliyun::scale::{AT_FAR, scale};

#[test]
fn every_kind_has_its_code() {
    let mut table = String::new();
    for &kind in Kind::ALL {
        let (code, word) = code_of(kind);
        table.push_str(&format!("{kind:?}: {} {}\n", code.number, word.unwrap_or(code.name)));
    }
    expect![[r#"
        InvalidArgument: 400 BAD_REQUEST
        MissingArgument: 400 BAD_REQUEST
        Forbidden: 596 PERMISSION_DENY
        FaceSetNotFound: 404 NOT_FOUND: group
        FaceSetExists: 400 BAD_REQUEST
        FaceSetNotEmpty: 400 BAD_REQUEST
        TooManyFaceSets: 400 BAD_REQUEST: too many groups
        TooManyPersons: 400 BAD_REQUEST: too many persons
        CapacityExceeded: 400 FACE_LIMIT
        RateExceeded: 588 EXCEED_QUOTA
        FaceNotFound: 404 NOT_FOUND: face
        FaceExists: 400 BAD_REQUEST
        PersonNotFound: 404 NOT_FOUND: person
        PersonExists: 400 BAD_REQUEST: person already exists
        KeyNotFound: 400 BAD_REQUEST
        TenantNotFound: 400 BAD_REQUEST
        TenantExists: 400 BAD_REQUEST
        JobNotFound: 400 BAD_REQUEST
        JobDone: 400 BAD_REQUEST
        Changed: 400 BAD_REQUEST
        UnknownField: 400 BAD_REQUEST
        FieldNotDefined: 400 BAD_REQUEST
        FieldTypeMismatch: 400 BAD_REQUEST
        SortFieldNotNumeric: 400 BAD_REQUEST
        NoFaceInImage: 400 NO_FACE
        SeveralFacesInImage: 400 MULTIPLE_FACES
        PoorQuality: 400 POOR_QUALITY
        ImageFormat: 590 BAD_FORMAT
        ImageCorrupt: 590 BAD_FORMAT
        ImageDimensions: 480 DOWNLOAD_FAILED: IMAGE_TOO_MUCH_PIXELS
        ImageTooLarge: 589 TOO_LARGE
        VideoUnreadable: 400 BAD_REQUEST
        VideoDuration: 400 BAD_REQUEST
        UrlInvalid: 400 BAD_REQUEST
        UrlForbidden: 401 NOT_ALLOWED
        UrlUnreachable: 480 DOWNLOAD_FAILED
        UrlNotFound: 404 NOT_FOUND
        UrlDenied: 403 FORBIDDEN
        UrlTimeout: 592 DOWNLOAD_TIMEOUT
        PackNotFound: 400 BAD_REQUEST
        UploadNotFound: 404 NOT_FOUND
        PackUnavailable: 586 ALGO_FAILED
        Unsupported: 596 PERMISSION_DENY
        Overloaded: 588 EXCEED_QUOTA
        StorageFull: 580 DB_FAILED
        Internal: 500 GENERAL_ERROR
    "#]]
    .assert_eq(&table);
}

/// The default pack's measured points (see its manifest): same verdict at the same false-accept rate.
#[test]
fn eighty_is_one_stranger_in_ten_thousand() {
    let points = [(1e-2, 0.20), (1e-3, 0.30), (1e-4, 0.38), (1e-5, 0.45), (1e-6, 0.51)];
    let point = |(far, cosine)| OperatingPoint::new(far, Similarity::new(cosine));
    let scale = scale(&Calibration::new(points.map(point).to_vec()).unwrap());
    for ((_, cosine), (_, rate)) in points.iter().zip(AT_FAR) {
        assert_eq!(scale.to_number(Similarity::new(*cosine)), rate);
    }
    let rate = |cosine: f32| scale.to_number(Similarity::new(cosine));
    assert_eq!((rate(-1.0), rate(0.0), rate(1.0)), (0.0, 20.0, 100.0));
    assert!(rate(0.999) >= 99.0);
    assert_eq!(rate(0.4), 81.71, "two decimals");
    let rates: Vec<f64> = (-100..=100).map(|step| rate(step as f32 / 100.0)).collect();
    assert!(rates.is_sorted());
}

#[test]
fn a_pack_that_is_all_too_sure_has_a_scale_too() {
    for points in [[(1e-2, -0.5), (1e-3, -0.4)], [(1e-2, 0.9), (1e-3, 0.98)]] {
        let point = |(far, cosine)| OperatingPoint::new(far, Similarity::new(cosine));
        let scale = scale(&Calibration::new(points.map(point).to_vec()).unwrap());
        assert_eq!(scale.to_number(Similarity::MAX), 100.0);
    }
}

#[test]
fn client_info_is_read_as_far_as_it_goes() {
    let info = ClientInfo::read(r#"{"sdkVersion":"1\n.2","os":7,"userNick":"x","hostAppName":"应用"}"#.as_bytes());
    let expected = ClientInfo { sdk_version: Some("1.2".into()), os: None, host_app: Some("应用".into()) };
    assert_eq!(info, expected);
    for text in [&b""[..], b"[]", b"{", b"\xff", b"{\"os\":null}"] {
        assert_eq!(ClientInfo::read(text), ClientInfo::default());
        fuzz_client_info(text);
    }
    let long = format!(r#"{{"os":"{}"}}"#, "x".repeat(1000));
    assert_eq!(ClientInfo::read(long.as_bytes()).os.unwrap().len(), 64);
}

#[test]
fn limited_tenants_are_named_or_all() {
    let with = |names: &str| {
        let text = |name| if name == "aliyun.limited_tenants" { names.to_owned() } else { default_of(name) };
        Settings::read(text).unwrap()
    };
    let named = with("acme,other,");
    assert!(named.limits_calls_of("acme") && named.limits_calls_of("other"));
    assert!(!named.limits_calls_of("ac") && !named.limits_calls_of(""));
    assert!(with("*").limits_calls_of("anybody") && !with("").limits_calls_of("anybody"));
}

fn default_of(name: &str) -> String {
    Settings::table().iter().find(|setting| setting.name == name).unwrap().default.to_owned()
}
