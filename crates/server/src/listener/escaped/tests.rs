use tokio::io::AsyncReadExt;

use super::*;

/// What is read of these bytes when they arrive in pieces of `n` and are read into buffers of `room`.
fn read(sent: &[u8], n: usize, room: usize) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut builder = tokio_test_stream(sent, n);
        let mut read = Vec::new();
        let mut buffer = vec![0; room];
        loop {
            match builder.read(&mut buffer).await.unwrap() {
                0 => return read,
                n => read.extend_from_slice(&buffer[..n]),
            }
        }
    })
}

/// A stream that gives these bytes in pieces of `n`.
fn tokio_test_stream(sent: &[u8], n: usize) -> EscapedTargets<Pieces> {
    EscapedTargets::new(Pieces { left: sent.to_vec(), n })
}

struct Pieces {
    left: Vec<u8>,
    n: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.n.min(self.left.len()).min(buffer.remaining());
        buffer.put_slice(&self.left[..n]);
        self.left.drain(..n);
        Poll::Ready(Ok(()))
    }
}

/// However the bytes arrive, they are read so.
#[track_caller]
fn check(sent: &[u8], expected: &[u8]) {
    for n in [1, 2, 3, 7, 1000] {
        for room in [1, 2, 5, 1000] {
            let read = read(sent, n, room);
            let shown = String::from_utf8_lossy(&read).into_owned();
            assert_eq!(read, expected, "in pieces of {n} into {room}: {shown}");
        }
    }
}

#[test]
fn what_the_library_refuses_in_a_target_is_escaped() {
    check(
        b"GET /green?a={\"b\":<1>}&c=\xe4\xb8 HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
        b"GET /green?a={%22b%22:%3C1%3E}&c=%E4%B8 HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
    );
    // Nothing is left where nothing is to be escaped.
    for plain in [&b"GET /a?b=%22 HTTP/1.1\r\nA: <\"\xff>\r\n\r\n"[..], b"\r\n\r\nGET / HTTP/1.1\n\n", b"", b"\x16\x03"]
    {
        check(plain, plain);
    }
}

#[test]
fn bodies_are_left_alone_and_requests_after_them_are_not() {
    check(
        b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n\"<\r\n\r\n>\"\"GET /\"< HTTP/1.1\r\n\r\nGET /> HTTP/1.1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n\"<\r\n\r\n>\"\"GET /%22%3C HTTP/1.1\r\n\r\nGET /%3E HTTP/1.1\r\n\r\n",
    );
}

/// A length that we and the library might read differently is not followed.
#[test]
fn where_the_length_of_a_body_is_in_doubt_nothing_more_is_changed() {
    let long = format!("Content-Length: {}1", " ".repeat(64));
    for header in [
        "Transfer-Encoding: chunked",
        "transfer-encoding : chunked",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: +1",
        "Content-Length: 1, 1",
        "Content-Length:",
        "Content-Length: 9999999999999999999",
        "Content-Length\t: 1",
        " folded: line",
        "no colon",
        ": no name",
        "Expect: 100-continue",
        "Upgrade: h2c",
        long.as_str(),
    ] {
        let sent = format!("POST /\" HTTP/1.1\r\n{header}\r\n\r\nGET /\" HTTP/1.1\r\n\r\n");
        let expected = format!("POST /%22 HTTP/1.1\r\n{header}\r\n\r\nGET /\" HTTP/1.1\r\n\r\n");
        check(sent.as_bytes(), expected.as_bytes());
    }
    // Long lines that say nothing of the body leave no doubt.
    for header in [format!("{}: x", "n".repeat(100)), format!("Authorization: {}", "v".repeat(100))] {
        let sent = format!("GET / HTTP/1.1\r\n{header}\r\n\r\nGET /\" HTTP/1.1\r\n\r\n");
        let expected = format!("GET / HTTP/1.1\r\n{header}\r\n\r\nGET /%22 HTTP/1.1\r\n\r\n");
        check(sent.as_bytes(), expected.as_bytes());
    }
}
