//! The operations of sessions: signing in, who asks, signing out, tickets. What a session is stands in [`super::sessions`].

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use likeness_domain::types::{Tenant, TimestampMs};
use likeness_domain::{Error, Kind};

use super::api::Api;
use super::body::{Call, Query, Signed, SmallJson, json, note_operation};
use super::dto::PREFIX;
use super::errors::{AUTHORIZATION, NativeError};
use super::sessions::{COOKIE, IDLE_MS, LIFETIME_MS, Session, SessionOf, bearer, check_origin};
use super::{convert, dto};
use crate::http::signing::text;
use crate::http::{origin, trace};

type Answer = Result<Response, NativeError>;

/// Whether the browser reached this server, or a proxy before it, by TLS: then its cookie must not travel without.
fn is_by_tls(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let is_from_tls = text(headers, "origin").is_some_and(|origin| origin.starts_with("https://"));
    is_from_tls || origin::is_over_tls(headers, extensions)
}

fn set_cookie(response: &mut Response, token: &str, seconds: i64, by_tls: bool) {
    let secure = if by_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path={PREFIX}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `POST /session`
pub(super) async fn begin(State(api): State<Api>, SmallJson(head, body): SmallJson<dto::BeginSession>) -> Answer {
    trace::addressed("native");
    note_operation(&head);
    // Nobody is to sign a visitor in as somebody else from another site's page.
    if head.headers.contains_key(header::ORIGIN) {
        check_origin(&head)?;
    }
    let refused = |message| Error::new(Kind::Forbidden, message).with_field(AUTHORIZATION);
    let given = body.unwrap_or_default();
    let (token, session) = match (&given.key, &given.ticket) {
        (Some(_), Some(_)) => return Err(Error::invalid("ticket", "`key` and `ticket` exclude each other").into()),
        (None, Some(ticket)) => {
            let exchanged = api.sessions.exchange(ticket).await?;
            let (token, tenant) =
                exchanged.ok_or_else(|| refused("the ticket is not valid any more, or was used already"))?;
            (token, SessionOf::Owner(tenant))
        }
        (key, None) => {
            let pair = match key {
                Some(key) => key.trim().split_once('.'),
                None => bearer(&head),
            };
            let (id, secret) =
                pair.ok_or_else(|| refused("`key` is missing, expected `ID.SECRET` of an access key"))?;
            let key = api.sessions.key(id, secret).await?.ok_or_else(|| refused("the access key is not valid"))?;
            if !key.is_usable(api.sessions.clock.now()) {
                return Err(Error::new(Kind::Forbidden, "the access key is disabled or expired").into());
            }
            if key.grants.are_an_operators() {
                let message = "this access key is an operator's: it makes, limits and deletes tenants through the API \
                               and opens no faces, so there is nothing to sign in to";
                let hint =
                    "sign in with a key of a tenant; `Authorization: Bearer ID.SECRET` goes with an operator's calls";
                return Err(Error::new(Kind::Forbidden, message).with_hint(hint).into());
            }
            let token = api.sessions.begin(&key, secret).await?;
            (token, SessionOf::Key(Box::new(key)))
        }
    };
    let now = api.sessions.clock.now();
    let session =
        Session { of: session, expires_at: TimestampMs(now.0 + IDLE_MS), ends_at: TimestampMs(now.0 + LIFETIME_MS) };
    let caller = match &session.of {
        SessionOf::Key(key) => likeness_domain::access::Caller::of_key(key, Default::default(), "session"),
        SessionOf::Owner(tenant) => likeness_domain::access::Caller::owner(tenant, "session"),
    };
    trace::admitted("native", None, &caller);
    let mut response = json(StatusCode::CREATED, &described(&api, &caller, Some(&session)).await?);
    set_cookie(&mut response, &token, LIFETIME_MS / 1000, is_by_tls(&head.headers, &head.extensions));
    Ok(response)
}

/// `GET /session`
pub(super) async fn show(State(api): State<Api>, request: Request) -> Answer {
    let (mut head, _) = request.into_parts();
    let has_key = head.headers.contains_key(header::AUTHORIZATION);
    let caller = Signed::from_request_parts(&mut head, &api).await;
    let Query(mut words) = Query::from_request_parts(&mut head, &api).await?;
    let (if_any, known) = (words.flag("if_any"), words.finish());
    let caller = match caller {
        // A page asks so when it is opened: that nobody is signed in is an answer then, where browsers report every refusal.
        Err(NativeError(error)) if error.kind() == Kind::Forbidden && !has_key && matches!(if_any, Ok(true)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        caller => caller?.0,
    };
    if_any?;
    known?;
    let session = match has_key {
        true => None,
        false => api.sessions.of(&head.headers).await?,
    };
    Ok(json(StatusCode::OK, &described(&api, &caller, session.as_ref()).await?))
}

/// `DELETE /session`
pub(super) async fn end(
    State(api): State<Api>,
    headers: HeaderMap,
    extensions: Extensions,
    Signed(_caller): Signed,
) -> Answer {
    api.sessions.end(&headers).await?;
    let mut response = json(StatusCode::OK, &serde_json::json!({}));
    set_cookie(&mut response, "", 0, is_by_tls(&headers, &extensions));
    Ok(response)
}

/// `POST /tickets`
pub(super) async fn ticket(Call { api, caller }: Call) -> Answer {
    if caller.key.is_some() {
        let message = "tickets are for the owner of the data folder, through the socket in it";
        return Err(Error::new(Kind::Forbidden, message).into());
    }
    let tenant = tenant_of(&api, &caller).await?;
    let (ticket, expires_at) = api.sessions.ticket(&tenant).await?;
    Ok(json(StatusCode::CREATED, &dto::Ticket { ticket, expires_at: convert::time_text(expires_at) }))
}

async fn tenant_of(api: &Api, caller: &likeness_domain::access::Caller) -> Result<Tenant, Error> {
    let tenants = api.sessions.credentials.tenants().await?;
    let found = tenants.into_iter().find(|tenant| tenant.id == caller.tenant);
    found.ok_or_else(|| Error::new(Kind::Forbidden, "the tenant was deleted"))
}

async fn described(
    api: &Api,
    caller: &likeness_domain::access::Caller,
    session: Option<&Session>,
) -> Result<dto::Session, Error> {
    let own = api.library.own_key(caller).await?;
    let tenant = match &own {
        Some(own) => own.key.tenant.name.to_string(),
        None => tenant_of(api, caller).await?.name.to_string(),
    };
    let face_sets = own.as_ref().and_then(|own| own.face_sets.clone());
    Ok(dto::Session {
        tenant,
        is_owner: caller.key.is_none(),
        key: own.map(|own| dto::SessionKey {
            id: own.key.id.to_string(),
            label: convert::text(own.key.label),
            expires_at: own.key.expires_at.map(convert::time_text),
        }),
        grants: caller.grants.iter().map(|grant| grant.word().to_owned()).collect(),
        face_sets: face_sets.map(|names| names.iter().map(ToString::to_string).collect()),
        expires_at: session.map(|session| convert::time_text(session.expires_at)),
        ends_at: session.map(|session| convert::time_text(session.ends_at)),
    })
}
