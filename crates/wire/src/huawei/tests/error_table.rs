//! Every kind of failure at every operation, with the code it is answered by: a changed code shows in review.

use std::fmt::Write as _;

use expect_test::expect;
use likeness_domain::Kind;

use crate::huawei::errors::{Origin, code_of};
use crate::huawei::operations::{Operation, TABLE};

#[test]
fn every_kind_at_every_operation() {
    let mut operations: Vec<Operation> = TABLE.iter().map(|row| row.operation).collect();
    operations.dedup();
    let mut table = String::new();
    for &kind in Kind::ALL {
        let code = |operation, origin| {
            let code = code_of(kind, operation, origin);
            format!("{} {}", code.status.as_u16(), code.text)
        };
        let usual = code(Operation::ShowFaceSet, Origin::Inline);
        writeln!(table, "{kind:?}: {usual}").unwrap();
        for &operation in &operations {
            for origin in [Origin::Inline, Origin::Url, Origin::Bucket] {
                let special = code(operation, origin);
                // What differs by where the image came from differs alike everywhere; once is enough.
                if special != usual && (origin == Origin::Inline || operation == Operation::DetectFaces) {
                    writeln!(table, "  {operation:?} ({origin:?}): {special}").unwrap();
                }
            }
        }
    }
    expect![[r#"
        InvalidArgument: 400 FRS.0012
        MissingArgument: 400 FRS.0011
        Forbidden: 403 FRS.0002
        FaceSetNotFound: 400 FRS.0302
        FaceSetExists: 400 FRS.0301
        FaceSetNotEmpty: 500 FRS.0018
        TooManyFaceSets: 400 FRS.0305
        TooManyPersons: 403 FRS.0306
        CapacityExceeded: 403 FRS.0306
        RateExceeded: 429 FRS.0033
        FaceNotFound: 400 FRS.0403
          UpdateFace (Inline): 400 FRS.0303
          DeleteFaces (Inline): 400 FRS.0303
          BatchDeleteFaces (Inline): 400 FRS.0303
        FaceExists: 500 FRS.0018
        PersonNotFound: 500 FRS.0018
        PersonExists: 500 FRS.0018
        KeyNotFound: 500 FRS.0018
        TenantNotFound: 500 FRS.0018
        TenantExists: 500 FRS.0018
        JobNotFound: 500 FRS.0018
        JobDone: 500 FRS.0018
        Changed: 500 FRS.0018
        UnknownField: 400 FRS.0402
        FieldNotDefined: 400 FRS.0405
        FieldTypeMismatch: 400 FRS.0406
        SortFieldNotNumeric: 400 FRS.0032
        NoFaceInImage: 400 FRS.0404
          CompareFaces (Inline): 400 FRS.0501
          SearchFaces (Inline): 400 FRS.0304
          DetectLive (Inline): 400 FRS.0707
          DetectLiveFace (Inline): 400 FRS.0707
        SeveralFacesInImage: 400 FRS.0709
        PoorQuality: 400 FRS.0404
        ImageFormat: 400 FRS.0016
        ImageCorrupt: 400 FRS.0016
        ImageDimensions: 400 FRS.0013
        ImageTooLarge: 400 FRS.0017
          DetectFaces (Url): 400 FRS.0036
          DetectFaces (Bucket): 400 FRS.0022
        VideoUnreadable: 400 FRS.0701
        VideoDuration: 400 FRS.0706
        UrlInvalid: 400 FRS.0021
        UrlForbidden: 400 FRS.0035
        UrlUnreachable: 400 FRS.0036
          DetectFaces (Bucket): 400 FRS.0022
        UrlNotFound: 400 FRS.0036
          DetectFaces (Bucket): 400 FRS.0022
        UrlDenied: 400 FRS.0036
          DetectFaces (Bucket): 400 FRS.0022
        UrlTimeout: 400 FRS.0036
          DetectFaces (Bucket): 400 FRS.0022
        PackNotFound: 500 FRS.0018
        UploadNotFound: 500 FRS.0018
        PackUnavailable: 400 FRS.0020
        Unsupported: 400 FRS.0020
        Overloaded: 429 FRS.0033
        StorageFull: 500 FRS.0018
        Internal: 500 FRS.0018
    "#]]
    .assert_eq(&table);
}
