//! A handler of HTTP requests of WASI 0.3, which does what the path of a request says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::{spawn_local, wit_future, wit_stream};

struct Web;

wasip3::http::service::export!(Web);

/// The requests of this instance so far.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Requests that wait in this instance until another one has come.
static MEETING: AtomicU32 = AtomicU32::new(0);

/// Memory that earlier requests have left behind.
static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

const MIB: usize = 1 << 20;

impl wasip3::exports::http::handler::Guest for Web {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        match path.as_str() {
            "/echo" => Ok(echo(request)),
            "/head" => Ok(text(head(&request))),
            "/count" => Ok(text(format!("{}\n", REQUESTS.fetch_add(1, Ordering::Relaxed) + 1))),
            "/leave" => {
                spawn_local(async { monotonic_clock::wait_for(u64::MAX).await });
                Ok(text(format!("{}\n", REQUESTS.fetch_add(1, Ordering::Relaxed) + 1)))
            }
            "/exact" => Ok(exact()),
            "/large" => Ok(stream(vec![vec![b'x'; MIB]; 4], Ending::Well)),
            "/ticks" => Ok(stream(vec![b"tick\n".to_vec(); 3], Ending::Slowly)),
            "/cut" | "/trap-after-head" => Ok(stream(vec![b"begun\n".to_vec()], Ending::Trap)),
            "/error" => Err(ErrorCode::DnsTimeout),
            "/trap" => panic!("as asked"),
            "/spin" => spin(),
            "/spin-afterwards" => {
                spawn_local(async {
                    monotonic_clock::wait_for(20_000_000).await;
                    spin()
                });
                Ok(text("done\n".into()))
            }
            "/meet" => Ok(text(meet().await)),
            "/burn" => Ok(burn()),
            "/block" => {
                // A call of WASI 0.2, which blocks every task.
                std::thread::sleep(Duration::from_secs(3_600));
                Err(ErrorCode::LoopDetected)
            }
            "/print" => {
                println!("printed");
                Ok(text("printed\n".into()))
            }
            "/grow" => {
                KEPT.lock().expect("no request panicked").push(vec![1; 40 * MIB]);
                Ok(text(format!("{}\n", REQUESTS.fetch_add(1, Ordering::Relaxed) + 1)))
            }
            "/sleep" | "/sleep/3600000" => {
                monotonic_clock::wait_for(u64::MAX).await;
                Err(ErrorCode::LoopDetected)
            }
            path => match path.strip_prefix("/fetch/") {
                Some(authority) => fetch(authority).await,
                None => Ok(text("hello from WASI 0.3\n".into())),
            },
        }
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Answers without end, and computes before each chunk.
fn burn() -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        while writer.write_all(b".".to_vec()).await.is_empty() {
            for round in 0..200_000u32 {
                std::hint::black_box(round);
            }
        }
        drop(trailers);
    });
    Response::new(Fields::new(), Some(reader), no_trailers).0
}

/// Waits until two requests are in this instance.
async fn meet() -> String {
    MEETING.fetch_add(1, Ordering::Relaxed);
    while MEETING.load(Ordering::Relaxed) < 2 {
        monotonic_clock::wait_for(50_000_000).await;
    }
    "met\n".into()
}

/// The end of a streamed body.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Well,
    Slowly,
    Trap,
}

fn text(text: String) -> Response {
    stream(vec![text.into_bytes()], Ending::Well)
}

/// Answers in two pieces, whose length the head says.
fn exact() -> Response {
    let chunks = vec![b"one\n".to_vec(), b"two\n".to_vec()];
    with_headers(&[("content-length", "8")], chunks, Ending::Slowly)
}

fn stream(chunks: Vec<Vec<u8>>, ending: Ending) -> Response {
    with_headers(&[("content-type", "text/plain")], chunks, ending)
}

fn with_headers(headers: &[(&str, &str)], chunks: Vec<Vec<u8>>, ending: Ending) -> Response {
    let (mut writer, reader) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    let headers: Vec<_> = headers.iter().map(header).collect();
    let headers = Fields::from_list(&headers).expect("it is a header");
    let (response, _sent) = Response::new(headers, Some(reader), no_trailers);
    spawn_local(async move {
        for chunk in chunks {
            if !writer.write_all(chunk).await.is_empty() {
                return;
            }
            if ending == Ending::Slowly {
                monotonic_clock::wait_for(50_000_000).await;
            }
        }
        if ending == Ending::Trap {
            panic!("as asked");
        }
        drop(writer);
        drop(trailers);
    });
    response
}

/// Answers with the body of the request, as it comes.
fn echo(request: Request) -> Response {
    let (done, result) = wit_future::new(|| Ok(()));
    drop(done);
    let (body, trailers) = Request::consume_body(request, result);
    Response::new(Fields::new(), Some(body), trailers).0
}

fn head(request: &Request) -> String {
    let mut names: Vec<_> =
        request.get_headers().copy_all().into_iter().map(|(name, _)| name).collect();
    names.sort();
    format!("{}\n", names.join(" "))
}

/// Answers with the answer of another host, or the error of the request.
async fn fetch(authority: &str) -> Result<Response, ErrorCode> {
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (request, _sent) = Request::new(Fields::new(), None, no_trailers, None);
    request.set_scheme(Some(&Scheme::Http)).expect("http is a scheme");
    request.set_authority(Some(authority)).expect("it is an authority");
    request.set_path_with_query(Some("/")).expect("it is a path");
    match client::send(request).await {
        Ok(answer) => {
            let (done, result) = wit_future::new(|| Ok(()));
            drop(done);
            let (body, trailers) = Response::consume_body(answer, result);
            Ok(Response::new(Fields::new(), Some(body), trailers).0)
        }
        Err(code) => Ok(text(format!("refused: {code:?}\n"))),
    }
}
