//! An ext_proc server on tonic that does nothing but answer: one header set each way, or the request's body sent
//! back. What a Rust engine cannot be faster than.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// The generated code, in modules of the packages' names, as it refers to itself.
mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod extensions {
        pub mod filters {
            pub mod http {
                pub mod ext_proc {
                    pub mod v3 {
                        tonic::include_proto!("envoy.extensions.filters.http.ext_proc.v3");
                    }
                }
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
    pub mod service {
        pub mod ext_proc {
            pub mod v3 {
                tonic::include_proto!("envoy.service.ext_proc.v3");
            }
        }
    }
}

use envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy::extensions::filters::http::ext_proc::v3::processing_mode::{
    BodySendMode, HeaderSendMode,
};
use envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingRequest,
    ProcessingResponse, body_mutation::Mutation, processing_request, processing_response,
};

/// Larger than any body that is measured, so that flow control never waits.
const WINDOW_BYTES: u32 = 16 << 20;
/// Above the default of 4 MiB, which ext_proc servers run into.
const MESSAGE_BYTES: usize = 16 << 20;
/// The largest frame, so that a body takes few of them.
const FRAME_BYTES: u32 = 256 << 10;

/// Built once: the server does no work of its own.
struct Answers {
    request_headers: ProcessingResponse,
    response_headers: ProcessingResponse,
}

#[derive(Clone, Copy)]
struct Processor {
    answers: &'static Answers,
}

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let answers = self.answers;
        let replies = request
            .into_inner()
            .map(move |message| answers.answer(message?));
        Ok(Response::new(Box::pin(replies)))
    }
}

impl Answers {
    fn answer(&self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        use processing_request::Request::{RequestBody, RequestHeaders, ResponseHeaders};
        match request.request {
            Some(RequestHeaders(_)) => Ok(self.request_headers.clone()),
            Some(ResponseHeaders(_)) => Ok(self.response_headers.clone()),
            Some(RequestBody(body)) => Ok(echo(body.body)),
            _ => Err(Status::invalid_argument("a message that was not asked for")),
        }
    }
}

fn set_header(name: &str) -> CommonResponse {
    CommonResponse {
        header_mutation: Some(HeaderMutation {
            set_headers: vec![HeaderValueOption {
                header: Some(HeaderValue {
                    key: name.to_owned(),
                    raw_value: b"1".to_vec(),
                    ..Default::default()
                }),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn headers_answer(response: Option<CommonResponse>) -> HeadersResponse {
    HeadersResponse { response }
}

fn ask_for_body() -> ProcessingResponse {
    ProcessingResponse {
        response: Some(processing_response::Response::RequestHeaders(
            headers_answer(None),
        )),
        mode_override: Some(ProcessingMode {
            request_header_mode: HeaderSendMode::Send.into(),
            response_header_mode: HeaderSendMode::Skip.into(),
            request_body_mode: BodySendMode::Buffered.into(),
            response_body_mode: BodySendMode::None.into(),
            request_trailer_mode: HeaderSendMode::Skip.into(),
            response_trailer_mode: HeaderSendMode::Skip.into(),
        }),
        ..Default::default()
    }
}

fn set_on_request() -> ProcessingResponse {
    let answer = headers_answer(Some(set_header("x-bench-request")));
    ProcessingResponse {
        response: Some(processing_response::Response::RequestHeaders(answer)),
        ..Default::default()
    }
}

fn set_on_response() -> ProcessingResponse {
    let answer = headers_answer(Some(set_header("x-bench-response")));
    ProcessingResponse {
        response: Some(processing_response::Response::ResponseHeaders(answer)),
        ..Default::default()
    }
}

fn echo(body: prost::bytes::Bytes) -> ProcessingResponse {
    let response = CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(Mutation::Body(body)),
        }),
        ..set_header("x-bench-request")
    };
    ProcessingResponse {
        response: Some(processing_response::Response::RequestBody(BodyResponse {
            response: Some(response),
        })),
        ..Default::default()
    }
}

struct Arguments {
    port: u16,
    threads: usize,
    bodies: bool,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        port: 0,
        threads: 1,
        bodies: false,
    };
    let mut rest = std::env::args().skip(1);
    while let Some(name) = rest.next() {
        let mut number = || {
            rest.next()
                .and_then(|text| text.parse().ok())
                .expect("a number")
        };
        match name.as_str() {
            "--port" => found.port = u16::try_from(number()).expect("a port"),
            "--threads" => found.threads = number(),
            "--bodies" => found.bodies = true,
            other => panic!("unknown argument {other}"),
        }
    }
    found
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments {
        port,
        threads,
        bodies,
    } = arguments();
    // One thread needs no other to wake.
    let runtime = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?
    };
    let answers: &'static Answers = Box::leak(Box::new(Answers {
        request_headers: if bodies {
            ask_for_body()
        } else {
            set_on_request()
        },
        response_headers: set_on_response(),
    }));
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("ready");
        let service = ExternalProcessorServer::new(Processor { answers })
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        Server::builder()
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .max_concurrent_streams(1 << 20)
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await?;
        Ok(())
    })
}
