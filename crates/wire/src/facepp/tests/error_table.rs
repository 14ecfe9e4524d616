//! Every kind of failure with the error it is answered by: a changed one shows in review.

use expect_test::expect;

use crate::facepp::errors::{Blame, of_kind};
use crate::megvii::tests as forms;

#[test]
fn every_kind() {
    let table = forms::kinds(|kind| of_kind(kind, None, &Blame { token: "TOKEN", ..Blame::NOBODY }));
    expect![[r#"
        InvalidArgument: 400 BAD_ARGUMENTS: face_token
        MissingArgument: 400 MISSING_ARGUMENTS: outer_id
        Forbidden: 403 AUTHORIZATION_ERROR: Denied by Admin
        FaceSetNotFound: 400 INVALID_FACESET_TOKEN
        FaceSetExists: 400 FACESET_EXIST
        FaceSetNotEmpty: 400 FACESET_NOT_EMPTY
        TooManyFaceSets: 400 FACESET_QUOTA_EXCEEDED
        TooManyPersons: 400 QUOTA_EXCEEDED
        CapacityExceeded: 400 QUOTA_EXCEEDED
        RateExceeded: 403 CONCURRENCY_LIMIT_EXCEEDED
        FaceNotFound: 400 INVALID_FACE_TOKEN: TOKEN
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
        NoFaceInImage: 500 INTERNAL_ERROR
        SeveralFacesInImage: 500 INTERNAL_ERROR
        PoorQuality: 400 LOW_QUALITY
        ImageFormat: 400 IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file
        ImageCorrupt: 400 IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file
        ImageDimensions: 400 INVALID_IMAGE_SIZE: image_file
        ImageTooLarge: 400 IMAGE_FILE_TOO_LARGE: image_file
        VideoUnreadable: 500 INTERNAL_ERROR
        VideoDuration: 500 INTERNAL_ERROR
        UrlInvalid: 400 INVALID_IMAGE_URL: image_file
        UrlForbidden: 400 INVALID_IMAGE_URL: image_file
        UrlUnreachable: 400 INVALID_IMAGE_URL: image_file
        UrlNotFound: 400 INVALID_IMAGE_URL: image_file
        UrlDenied: 400 INVALID_IMAGE_URL: image_file
        UrlTimeout: 412 IMAGE_DOWNLOAD_TIMEOUT: image_file
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
