//! Every kind of failure with the error it is answered by: a changed one shows in review.

use expect_test::expect;

use crate::megvii::tests as forms;
use crate::yuanli::Settings;
use crate::yuanli::errors::of_kind;

#[test]
fn every_kind() {
    let table = forms::kinds(|kind| of_kind(kind, None, "file", &Settings::default()));
    expect![[r#"
        InvalidArgument: 400 BAD_ARGUMENTS: group_id
        MissingArgument: 400 MISSING_ARGUMENTS: group_id
        Forbidden: 403 AUTHORIZATION_ERROR: DENIED
        FaceSetNotFound: 400 INVALID_GROUP_ID
        FaceSetExists: 400 GROUP_EXIST
        FaceSetNotEmpty: 400 NOT_EMPTY
        TooManyFaceSets: 400 GROUP_QUOTA_EXCEEDED
        TooManyPersons: 400 QUOTA_EXCEEDED
        CapacityExceeded: 400 QUOTA_EXCEEDED
        RateExceeded: 403 CONCURRENCY_LIMIT_EXCEEDED
        FaceNotFound: 400 INVALID_FACE_TOKEN
        FaceExists: 500 INTERNAL_ERROR
        PersonNotFound: 500 INTERNAL_ERROR
        PersonExists: 500 INTERNAL_ERROR
        KeyNotFound: 500 INTERNAL_ERROR
        TenantNotFound: 500 INTERNAL_ERROR
        TenantExists: 500 INTERNAL_ERROR
        JobNotFound: 500 INTERNAL_ERROR
        JobDone: 500 INTERNAL_ERROR
        Changed: 500 INTERNAL_ERROR
        UnknownField: 500 INTERNAL_ERROR
        FieldNotDefined: 500 INTERNAL_ERROR
        FieldTypeMismatch: 500 INTERNAL_ERROR
        SortFieldNotNumeric: 500 INTERNAL_ERROR
        NoFaceInImage: 400 NO_FACE_FOUND: file
        SeveralFacesInImage: 500 INTERNAL_ERROR
        PoorQuality: 400 LOW_QUALITY
        ImageFormat: 400 IMAGE_ERROR_UNSUPPORTED_FORMAT: file
        ImageCorrupt: 400 IMAGE_ERROR_UNSUPPORTED_FORMAT: file
        ImageDimensions: 400 INVALID_IMAGE_SIZE: file
        ImageTooLarge: 400 IMAGE_FILE_TOO_LARGE: file
        VideoUnreadable: 500 INTERNAL_ERROR
        VideoDuration: 500 INTERNAL_ERROR
        UrlInvalid: 500 INTERNAL_ERROR
        UrlForbidden: 500 INTERNAL_ERROR
        UrlUnreachable: 500 INTERNAL_ERROR
        UrlNotFound: 500 INTERNAL_ERROR
        UrlDenied: 500 INTERNAL_ERROR
        UrlTimeout: 500 INTERNAL_ERROR
        PackNotFound: 500 INTERNAL_ERROR
        UploadNotFound: 500 INTERNAL_ERROR
        PackUnavailable: 500 INTERNAL_ERROR
        Unsupported: 500 INTERNAL_ERROR
        Overloaded: 403 CONCURRENCY_LIMIT_EXCEEDED
        StorageFull: 500 INTERNAL_ERROR
        Internal: 500 INTERNAL_ERROR
    "#]]
    .assert_eq(&table);
}
