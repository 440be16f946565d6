#ifndef SSMWIRE_H
#define SSMWIRE_H

/*
 * ssmwire: AWS Systems Manager sessions as a library.
 *
 * Six rules.
 *
 * Memory. What a call is given it borrows until it returns. What it gives is copied into memory of the caller. So there
 * is nothing to free. Texts are UTF-8 and end with a zero byte. Structs begin with their size, as SSMWIRE_…_INIT sets it:
 * later versions add fields at the end, and a program that was built before still works. Zero is the default of every
 * option, and a switch of type uint8_t is on with any other value; a program that sets an option which this version of the
 * library does not have yet is told so, with SSMWIRE_INVALID_ARGUMENT.
 *
 * Handles. What lives longer than a call is a 64-bit id in a struct of its own, which is copied like a number. An id that
 * was closed, was never opened or is of another kind is found out: SSMWIRE_BAD_HANDLE. A handle may be used by any thread
 * at any time, and closed while others use it: they go on with SSMWIRE_BAD_HANDLE. Closing twice is harmless. After a fork
 * a child's calls with its parent's handles return SSMWIRE_FORKED, and do the parent no harm; a new client works.
 *
 * Time. What may wait takes timeout_ms: below 0 it waits as long as it takes; with 0 not at all, and returns
 * SSMWIRE_AGAIN; else it waits so long, and returns SSMWIRE_TIMEOUT. Stopping to wait loses nothing. A handle that has
 * returned SSMWIRE_AGAIN can be watched by a queue, whose descriptor an event loop can wait for. While one thread waits
 * for something of a handle, another that wants to wait for the same gets SSMWIRE_BUSY.
 *
 * Errors. Calls return SSMWIRE_OK, SSMWIRE_AGAIN, SSMWIRE_EOF, or the number of an error, 100 or more. Who wants to know
 * more passes an ssmwire_error; NULL will do.
 *
 * Threads. The library runs a few threads of its own. They call the caller's functions for nothing but the log and
 * credentials, and only one of them does. A signal ends no wait, and its handler may make no call: it writes to a pipe
 * that the event loop waits for, too.
 *
 * The end. Before it ends, a program closes its sessions and waits for that, or calls ssmwire_shutdown, which does so for
 * all. Else the service does not hear of their end, and has them until they have been idle for long enough.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How a call has ended. Numbers are added, never changed. */
enum {
    /** It is done. */
    SSMWIRE_OK = 0,
    /** Nothing yet; a call with a time-out of 0 would have to wait. */
    SSMWIRE_AGAIN = 1,
    /** There is no more. */
    SSMWIRE_EOF = 2,
    /** The caller passed something that can't be meant; the message names the field. */
    SSMWIRE_INVALID_ARGUMENT = 101,
    /** The handle is closed or was never opened. */
    SSMWIRE_BAD_HANDLE = 102,
    /** Another waiter is already blocked on the same operation of this handle. */
    SSMWIRE_BUSY = 103,
    /** The handle was made before a fork and belongs to the parent process. */
    SSMWIRE_FORKED = 104,
    /** The agent, the document or the platform can't do this. */
    SSMWIRE_UNSUPPORTED = 105,
    /** The caller stopped the operation. */
    SSMWIRE_CANCELLED = 106,
    /** The caller's own deadline passed. */
    SSMWIRE_TIMEOUT = 107,
    /** The local address can't be listened on. */
    SSMWIRE_LISTEN_FAILED = 108,
    /** No credentials could be had. */
    SSMWIRE_CREDENTIALS_UNAVAILABLE = 201,
    /** AWS refused the action for these credentials. */
    SSMWIRE_ACCESS_DENIED = 202,
    /** AWS throttled the request, and went on doing so until the deadline. */
    SSMWIRE_THROTTLED = 203,
    /** The target's agent is not connected to Systems Manager. */
    SSMWIRE_TARGET_NOT_CONNECTED = 204,
    /** The target does not exist or is not spelt like one. */
    SSMWIRE_INVALID_TARGET = 205,
    /** The session document does not exist or does not take these parameters. */
    SSMWIRE_INVALID_DOCUMENT = 206,
    /** Any other answer of an AWS API; the code is kept. */
    SSMWIRE_API = 207,
    /** The endpoint could not be reached. */
    SSMWIRE_CONNECT_FAILED = 301,
    /** The proxy refused or failed. */
    SSMWIRE_PROXY_FAILED = 302,
    /** TLS could not be agreed on, or the certificate is not trusted. */
    SSMWIRE_TLS_FAILED = 303,
    /** The connection was lost and could not be resumed within its time budget. */
    SSMWIRE_CONNECTION_LOST = 304,
    /** The far side stopped answering. */
    SSMWIRE_PEER_UNRESPONSIVE = 305,
    /** The agent did not finish its handshake in time. */
    SSMWIRE_HANDSHAKE_TIMEOUT = 401,
    /** The handshake failed. */
    SSMWIRE_HANDSHAKE_FAILED = 402,
    /** The far side broke the protocol; the message says which rule. */
    SSMWIRE_PROTOCOL = 403,
    /** The service ended the session because it was idle. */
    SSMWIRE_IDLE_TIMEOUT = 404,
    /** The service ended the session because it reached its maximum duration. */
    SSMWIRE_MAX_DURATION = 405,
    /** The session was terminated by somebody or something else; the service's text is kept. */
    SSMWIRE_TERMINATED = 406,
    /** The service says that the session is over and can't be resumed. */
    SSMWIRE_RESUME_REJECTED = 407,
    /** KMS refused the session's key. */
    SSMWIRE_KMS_DENIED = 501,
    /** KMS could not be asked. */
    SSMWIRE_KMS_FAILED = 502,
    /** A message could not be decrypted; nothing of it was delivered. */
    SSMWIRE_DECRYPT_FAILED = 503,
    /** The far host refused the connection. */
    SSMWIRE_REMOTE_CONNECT_FAILED = 601,
    /** The far side reset the stream. */
    SSMWIRE_STREAM_RESET = 602,
    /** The command ran and failed, and the caller asked for that to be an error. */
    SSMWIRE_COMMAND_FAILED = 603,
    /** The command wrote more than the caller takes. */
    SSMWIRE_OUTPUT_TOO_LARGE = 604,
    /** A bug in this library made a thread panic. */
    SSMWIRE_PANIC = 901,
    /** A bug in this library. */
    SSMWIRE_INTERNAL = 902
};

/** Where in a session's life an error has happened. */
enum {
    SSMWIRE_PHASE_START = 1,     /**< Asking the API for the session. */
    SSMWIRE_PHASE_CONNECT = 2,   /**< Opening the data channel. */
    SSMWIRE_PHASE_HANDSHAKE = 3, /**< Agreeing with the agent on what the session is. */
    SSMWIRE_PHASE_STREAM = 4,    /**< Moving bytes. */
    SSMWIRE_PHASE_RESUME = 5,    /**< Bringing a lost data channel back. */
    SSMWIRE_PHASE_CLOSE = 6      /**< Ending the session. */
};

/** What kind of session the agent runs. */
enum {
    SSMWIRE_SESSION_SHELL = 1,   /**< A shell, or one command, in a terminal. */
    SSMWIRE_SESSION_COMMAND = 2, /**< A command without a terminal and without input. */
    SSMWIRE_SESSION_PORT = 3,    /**< One connection to a port, which stdio is. */
    SSMWIRE_SESSION_PORTS = 4    /**< Many connections to a port, which ssmwire_session_connect opens. */
};

/** What has happened. Others may be added. */
enum {
    SSMWIRE_EVENT_MESSAGE = 1,           /**< The agent has a message for the user. */
    SSMWIRE_EVENT_RECONNECTING = 2,      /**< The connection was lost, and is being brought back. */
    SSMWIRE_EVENT_RESUMED = 3,           /**< The connection is back. */
    SSMWIRE_EVENT_CONNECTION_FAILED = 4, /**< A forward's local connection was reset, for the status's reason. */
    SSMWIRE_EVENT_ACCEPT_FAILED = 5      /**< A forward could not accept connections. */
};

/** How grave a log record is. */
enum {
    SSMWIRE_LOG_OFF = 0,
    SSMWIRE_LOG_ERROR = 1,
    SSMWIRE_LOG_WARN = 2,
    SSMWIRE_LOG_INFO = 3,
    SSMWIRE_LOG_DEBUG = 4,
    SSMWIRE_LOG_TRACE = 5
};

/** What of a run's output to read. */
enum {
    SSMWIRE_STDOUT = 1,
    SSMWIRE_STDERR = 2
};

/* What the structs begin with. The rest is zero, which is every default. */
#ifdef __cplusplus
#define SSMWIRE_INIT_(type)                                                                                            \
    [] {                                                                                                               \
        type made{};                                                                                                   \
        made.size = sizeof made;                                                                                       \
        return made;                                                                                                   \
    }()
#else
#define SSMWIRE_INIT_(type)                                                                                            \
    {                                                                                                                  \
        .size = sizeof(type)                                                                                           \
    }
#endif

/* Every function says which threads may call it, whether it waits, and how it fails. */


/**
 * The version of this interface; symbols and fields are only ever added to it.
 */
#define SSMWIRE_ABI_VERSION 0

/**
 * How a call has ended: `SSMWIRE_OK`, one of the two that are no errors, or an error's number, 100 or more.
 */
typedef int32_t ssmwire_status;

/**
 * What went wrong. The caller owns it and sets `size`, as `SSMWIRE_ERROR_INIT` does; a call that fails fills it in, any
 * other leaves it alone. Texts end with a zero byte, and are cut to fit.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The status that the call has returned.
     */
    ssmwire_status status;
    /**
     * Where in a session's life it happened, one of `SSMWIRE_PHASE_…`; 0 if that is not known.
     */
    int32_t phase;
    /**
     * The HTTP status of AWS's answer; 0 if there was none.
     */
    int32_t http_status;
    /**
     * Whether trying the same thing again can help.
     */
    bool is_retryable;
    /**
     * What happened, for people.
     */
    char message[512];
    /**
     * What to do about it; empty if nothing is known to help.
     */
    char hint[256];
    /**
     * AWS's code, such as `TargetNotConnected`.
     */
    char aws_code[64];
    /**
     * AWS's id of the request.
     */
    char request_id[64];
    /**
     * The session's id, once there was one.
     */
    char session_id[128];
} ssmwire_error;
#define SSMWIRE_ERROR_INIT SSMWIRE_INIT_(ssmwire_error)

/**
 * A request for credentials, to be answered once.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_request;

/**
 * A function of the caller that is asked for credentials, with the context from the client's options. It need not
 * answer before it returns: `ssmwire_credentials_answer` may be called then or later, from any thread.
 */
typedef void (*ssmwire_credentials_fn)(ssmwire_request request, void *context);

/**
 * What a client is made of. Begin with `SSMWIRE_CLIENT_OPTIONS_INIT`; zero and NULL mean the default everywhere.
 * Time-outs are in milliseconds, and one below 0 means for as long as it takes.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The region; without it AWS_REGION, the profile, the instance.
     */
    const char *region;
    /**
     * The profile of the shared AWS configuration; without it AWS_PROFILE, `default`.
     */
    const char *profile;
    /**
     * Keys, in place of those that the AWS tools would find; both or none.
     */
    const char *access_key_id;
    /**
     * The key itself. It is copied, and wiped at the end.
     */
    const char *secret_access_key;
    /**
     * Belongs to temporary keys.
     */
    const char *session_token;
    /**
     * Is asked for credentials, first when they are needed and again whenever they have expired or were refused.
     */
    ssmwire_credentials_fn credentials;
    /**
     * Is passed to `credentials`. It must stay good until `ssmwire_client_close` has returned.
     */
    void *credentials_context;
    /**
     * The Systems Manager API, in place of the region's own.
     */
    const char *ssm_endpoint;
    /**
     * The message gateway: scheme, host and port replace the stream URL's.
     */
    const char *ssmmessages_endpoint;
    /**
     * The KMS API, for encrypted sessions.
     */
    const char *kms_endpoint;
    /**
     * The ECS API, for `ssmwire_ecs_exec_start`.
     */
    const char *ecs_endpoint;
    /**
     * A PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's.
     */
    const char *ca_bundle;
    /**
     * The proxy for everything, `http://HOST:PORT`, with `USER:PASSWORD@` before the host if it asks for them; in place of
     * what HTTPS_PROXY says.
     */
    const char *proxy;
    /**
     * Turns the check of the server's certificate off. Anybody on the way can read and change everything then.
     */
    uint8_t skip_tls_verification;
    /**
     * Makes a client that only attaches: it needs neither region nor credentials.
     */
    uint8_t attach_only;
    /**
     * Ends a session with its first connection, rather than bring a lost one back.
     */
    uint8_t no_resume;
    /**
     * Bytes that may wait for a session's reader; then the far side is stopped. 16 MiB by default.
     */
    uint64_t unread_max;
    /**
     * For StartSession, with credentials, retries and throttling. 30 s by default.
     */
    int64_t start_timeout_ms;
    /**
     * For one attempt to open a data channel. 15 s by default.
     */
    int64_t connect_timeout_ms;
    /**
     * From the open data channel until the agent is ready. 30 s by default.
     */
    int64_t handshake_timeout_ms;
    /**
     * From the loss of a data channel until it is back. 3 minutes by default.
     */
    int64_t resume_timeout_ms;
    /**
     * For the farewell when a session is closed. 5 s by default.
     */
    int64_t close_timeout_ms;
    /**
     * How long the agent may leave a message unacknowledged. 5 minutes by default.
     */
    int64_t stall_timeout_ms;
    /**
     * Silence after which a ping is sent. 30 s by default.
     */
    int64_t ping_interval_ms;
    /**
     * How long a ping may stay unanswered. 20 s by default.
     */
    int64_t pong_timeout_ms;
    /**
     * Keeps sessions from being idle: whenever nothing has been sent for so long, something is of which programs notice
     * nothing. Without it, the service ends sessions that were idle for 20 minutes, or what the account has chosen.
     */
    int64_t keepalive_ms;
} ssmwire_client_options;
#define SSMWIRE_CLIENT_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_client_options)

/**
 * A client: one set of credentials, endpoints and connections, which its sessions share.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_client;

/**
 * Keys, as an answer to a request. They are copied, and wiped when they are no longer needed.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * Names the key.
     */
    const char *access_key_id;
    /**
     * The key.
     */
    const char *secret_access_key;
    /**
     * Belongs to temporary keys; NULL without.
     */
    const char *session_token;
    /**
     * When to ask again, in seconds since 1970; 0 for never.
     */
    int64_t expires_at;
    /**
     * Why there are none; then the rest does not count. NULL if there are some.
     */
    const char *problem;
} ssmwire_credentials;
#define SSMWIRE_CREDENTIALS_INIT SSMWIRE_INIT_(ssmwire_credentials)

/**
 * A function of the caller that takes log records: the level, one of `SSMWIRE_LOG_…`, the part of the library it comes
 * from, the message, and the context that was given with the function. The texts are good until it returns.
 */
typedef void (*ssmwire_log_fn)(int level, const char *target, const char *message, void *context);

/**
 * A value of a document's parameter. Parameters are lists: one that is named twice has two values.
 */
typedef struct {
    /**
     * The parameter's name, such as `portNumber`.
     */
    const char *name;
    /**
     * The value, such as `22`.
     */
    const char *value;
} ssmwire_parameter;

/**
 * What to start. Begin with `SSMWIRE_SESSION_OPTIONS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The managed node: `i-…`, `mi-…` or `ecs:<cluster>_<task>_<runtime>`.
     */
    const char *target;
    /**
     * The session document; without one, the account's default shell.
     */
    const char *document;
    /**
     * Why, for the audit log; may be NULL.
     */
    const char *reason;
    /**
     * The document's parameters.
     */
    const ssmwire_parameter *parameters;
    /**
     * How many.
     */
    size_t parameters_len;
    /**
     * The terminal's width, for `ssmwire_shell_start`; 80 by default.
     */
    uint16_t columns;
    /**
     * The terminal's height; 24 by default.
     */
    uint16_t rows;
} ssmwire_session_options;
#define SSMWIRE_SESSION_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_session_options)

/**
 * A session: a shell, a command, or a port's connections. Its streams are handles of their own.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_session;

/**
 * The answer to a StartSession or ECS ExecuteCommand call. Begin with `SSMWIRE_ATTACH_OPTIONS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The session's id.
     */
    const char *session_id;
    /**
     * Where the data channel is opened.
     */
    const char *stream_url;
    /**
     * What opens it. It is copied, and wiped at the end.
     */
    const char *token;
    /**
     * What the session was started with; needed for encrypted sessions only.
     */
    const char *target;
} ssmwire_attach_options;
#define SSMWIRE_ATTACH_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_attach_options)

/**
 * A stream of bytes from and to the far side.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_stream;

/**
 * A queue of tags that say what can go on.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_queue;

/**
 * What is known of a session. Begin with `SSMWIRE_SESSION_INFO_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * One of `SSMWIRE_SESSION_…`; 0 until the agent has said so.
     */
    int32_t kind;
    /**
     * The session's id.
     */
    char session_id[128];
    /**
     * The agent's version; empty where it does not tell, as for ordinary shells.
     */
    char agent_version[64];
} ssmwire_session_info;
#define SSMWIRE_SESSION_INFO_INIT SSMWIRE_INIT_(ssmwire_session_info)

/**
 * A session's counters. Begin with `SSMWIRE_SESSION_STATS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * Payload bytes received in order.
     */
    uint64_t bytes_in;
    /**
     * Payload bytes accepted for sending.
     */
    uint64_t bytes_out;
    /**
     * Data messages received in order.
     */
    uint64_t messages_in;
    /**
     * Data messages made.
     */
    uint64_t messages_out;
    /**
     * Messages received more than once.
     */
    uint64_t duplicates;
    /**
     * Messages sent again because their acknowledge was late.
     */
    uint64_t resent;
    /**
     * Connections that were opened after the first.
     */
    uint64_t reconnects;
    /**
     * Bytes that wait for the reader.
     */
    uint64_t unread;
    /**
     * Payload bytes that are not acknowledged.
     */
    uint64_t unacknowledged;
    /**
     * Payload bytes that may be unacknowledged now.
     */
    uint64_t window;
    /**
     * The smoothed round-trip time to the agent, in microseconds.
     */
    uint64_t rtt_us;
} ssmwire_session_stats;
#define SSMWIRE_SESSION_STATS_INIT SSMWIRE_INIT_(ssmwire_session_stats)

/**
 * Something that has happened. Begin with `SSMWIRE_EVENT_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * One of `SSMWIRE_EVENT_…`.
     */
    int32_t kind;
    /**
     * The status that says why a forward's connection has failed; else 0.
     */
    ssmwire_status status;
    /**
     * The agent's message, or what went wrong.
     */
    char text[1024];
} ssmwire_event;
#define SSMWIRE_EVENT_INIT SSMWIRE_INIT_(ssmwire_event)

/**
 * What to run. Begin with `SSMWIRE_COMMAND_OPTIONS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The managed node.
     */
    const char *target;
    /**
     * The program and its arguments, which arrive as they are. No shell is involved.
     */
    const char *const *arguments;
    /**
     * How many, the program among them; 0 if there is a line.
     */
    size_t arguments_len;
    /**
     * A line for the far side's `sh`, in place of arguments.
     */
    const char *line;
    /**
     * The session document; NULL for AWS-StartNonInteractiveCommand, and for a run then the default shell.
     */
    const char *document;
    /**
     * Why, for the audit log; may be NULL.
     */
    const char *reason;
    /**
     * For a run: ends it after so long, with `SSMWIRE_TIMEOUT` and what had arrived. 0 for as long as it takes.
     */
    int64_t run_timeout_ms;
    /**
     * For a run: asks for output that is exact for every byte, not for text only. The far side needs `base64` for it.
     */
    uint8_t is_binary;
    /**
     * For a run: makes any exit code but 0 an error, `SSMWIRE_COMMAND_FAILED`.
     */
    uint8_t is_checked;
    /**
     * For a run: what the command is to read, every byte of it and then its end; NULL for no input. It is copied, and wiped
     * at the end. The far side needs `sh`, `stty` and `dd` for it.
     */
    const uint8_t *input;
    /**
     * How many bytes.
     */
    size_t input_len;
    /**
     * For a run: how many bytes each of the two streams may have. One that writes more is ended, with
     * `SSMWIRE_OUTPUT_TOO_LARGE` and as much as is allowed. 0 for as many as memory holds.
     */
    size_t output_max;
} ssmwire_command_options;
#define SSMWIRE_COMMAND_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_command_options)

/**
 * A command that is run to its end.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_run;

/**
 * What a run came to. Begin with `SSMWIRE_RUN_RESULT_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * Whether the run is over. It tells the run's own time-out from that of the wait.
     */
    bool is_over;
    /**
     * Whether the exit code is known.
     */
    bool has_exit_code;
    /**
     * Whether lines of `sh` around the command kept the streams apart, since the agent could or might not.
     */
    bool is_enveloped;
    /**
     * The exit code.
     */
    int32_t exit_code;
    /**
     * Bytes of standard output; of a run that failed, those that had arrived.
     */
    uint64_t stdout_len;
    /**
     * Bytes of standard error.
     */
    uint64_t stderr_len;
} ssmwire_run_result;
#define SSMWIRE_RUN_RESULT_INIT SSMWIRE_INIT_(ssmwire_run_result)

/**
 * What to run in a container. Begin with `SSMWIRE_ECS_EXEC_OPTIONS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The cluster's name or ARN; without one, the account's `default`.
     */
    const char *cluster;
    /**
     * The task's id or ARN.
     */
    const char *task;
    /**
     * The container's name; a task that has one only can do without.
     */
    const char *container;
    /**
     * What to run, as one line: words, which no shell takes apart.
     */
    const char *command;
} ssmwire_ecs_exec_options;
#define SSMWIRE_ECS_EXEC_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_ecs_exec_options)

/**
 * Where a connection or a forward leads. Begin with `SSMWIRE_PORT_OPTIONS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * The managed node that leads there.
     */
    const char *target;
    /**
     * A host that the target reaches; NULL for the target itself.
     */
    const char *host;
    /**
     * The port, from 1 to 65535.
     */
    uint16_t port;
    /**
     * The session document, such as AWS-StartSSHSession; NULL for AWS's own for ports.
     */
    const char *document;
    /**
     * Why, for the audit log; may be NULL.
     */
    const char *reason;
    /**
     * Where a forward listens: `HOST:PORT`, where port 0 is a free one, or `unix:PATH`; NULL for a free port of
     * 127.0.0.1.
     */
    const char *bind;
    /**
     * How many sessions a forward spreads its connections over, up to 64; 1 by default. An agent sends a session's data
     * at about a megabyte a second.
     */
    uint32_t sessions;
} ssmwire_port_options;
#define SSMWIRE_PORT_OPTIONS_INIT SSMWIRE_INIT_(ssmwire_port_options)

/**
 * A forward: a local address whose connections end at a far port.
 */
typedef struct {
    /**
     * 0 is none.
     */
    uint64_t id;
} ssmwire_forward;

/**
 * A forward's counters. Begin with `SSMWIRE_FORWARD_STATS_INIT`.
 */
typedef struct {
    /**
     * The size of this struct, as the caller knows it.
     */
    size_t size;
    /**
     * Local connections that were accepted.
     */
    uint64_t connections;
    /**
     * Connections that are open now.
     */
    uint64_t open;
    /**
     * Connections that were reset because the far side failed.
     */
    uint64_t failed;
    /**
     * Bytes accepted for the far side.
     */
    uint64_t sent;
    /**
     * Bytes that the local programs were given.
     */
    uint64_t received;
} ssmwire_forward_stats;
#define SSMWIRE_FORWARD_STATS_INIT SSMWIRE_INIT_(ssmwire_forward_stats)

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the version of the interface that the library has, to be compared with `SSMWIRE_ABI_VERSION`.
 */
uint32_t ssmwire_abi_version(void);

/**
 * Returns the library's version, such as "0.1.0". The text is good for ever.
 */
const char *ssmwire_version(void);

/**
 * Returns a status's name, such as "TargetNotConnected", or "unknown". The text is good for ever.
 */
const char *ssmwire_status_name(ssmwire_status status);

/**
 * Ends everything: closes all handles, ends the sessions on the service, and ends the library's threads. Whoever waits
 * in another call goes on with `SSMWIRE_BAD_HANDLE`. After it the library can be used again, or unloaded; it leaves memory
 * once the threads have ended that have called it, and about a hundred kilobytes of its own stay behind.
 *
 * Any thread but that of a callback. Waits as `timeout_ms` says, in all; with 0 next to not at all, so that sessions are
 * not told. `SSMWIRE_TIMEOUT` if something was not done by then, and is cut off.
 */
ssmwire_status ssmwire_shutdown(int64_t timeout_ms,
                                ssmwire_error *error);

/**
 * Begins to make a client, and returns at once: the AWS configuration is read in the background, and credentials are
 * asked for when they are first needed. Sessions can be started right away. What is wrong with the configuration shows
 * when the client is used; `ssmwire_client_ready` asks for nothing else.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` names the option that can't be meant.
 *
 *     ssmwire_error error = SSMWIRE_ERROR_INIT;
 *     ssmwire_client_options options = SSMWIRE_CLIENT_OPTIONS_INIT;
 *     ssmwire_client client;
 *     options.region = "eu-west-1";
 *     if (ssmwire_client_open(&options, &client, &error) != SSMWIRE_OK) {
 *         fprintf(stderr, "error: %s\nhint: %s\n", error.message, error.hint);
 *     }
 */
ssmwire_status ssmwire_client_open(const ssmwire_client_options *options, ssmwire_client *client, ssmwire_error *error);

/**
 * Waits until the client is made.
 *
 * Any thread. Waits as `timeout_ms` says. Fails as the configuration does: `SSMWIRE_INVALID_ARGUMENT` if no region is
 * to be found, for one.
 */
ssmwire_status ssmwire_client_ready(ssmwire_client client, int64_t timeout_ms, ssmwire_error *error);

/**
 * Closes a client, and ends all of its sessions on the service. Handles of its sessions and streams stay the caller's
 * to close. When this returns, its credentials function does not run and won't.
 *
 * All of it ends within `close_timeout_ms`, and the service hears of 32 sessions at a time. Of very many, or on a busy
 * machine, it may not hear of all by then; the others it ends when they have been idle for as long as it allows. A
 * thousand sessions take about a second. Who has more sets a longer `close_timeout_ms`.
 *
 * Any thread. Waits as `timeout_ms` says for the sessions' end; with 0, and after `SSMWIRE_TIMEOUT`, they end in the
 * background. The handle is gone in any case.
 */
ssmwire_status ssmwire_client_close(ssmwire_client client, int64_t timeout_ms, ssmwire_error *error);

/**
 * Answers a request for credentials. A request that was answered before, or that nobody waits for any more, is
 * `SSMWIRE_BAD_HANDLE`; nothing is wrong then. `SSMWIRE_INVALID_ARGUMENT` if a key is missing or empty; the request still
 * waits for its answer then.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_credentials_answer(ssmwire_request request,
                                          const ssmwire_credentials *credentials,
                                          ssmwire_error *error);

/**
 * Sends log records of `max_level` and graver to `function`, in place of where they went before; with NULL, nowhere.
 * Tokens, keys and what sessions carry are in none of them.
 *
 * It runs on the library's own thread for callbacks, one record at a time, with nothing locked. Of records that it is
 * too slow for, 4,096 wait; then they are counted, and the number is told. When this returns, the previous function
 * does not run and won't; called from within that function it returns at once. A forked child logs nowhere until it
 * sets a function of its own.
 *
 * Any thread. Waits for a record that is being taken. `SSMWIRE_INVALID_ARGUMENT` for a level that is none.
 */
ssmwire_status ssmwire_set_log(ssmwire_log_fn function, void *context, int max_level, ssmwire_error *error);

/**
 * Starts a session of whatever type the document says, and returns at once: it is being started then. Its streams can
 * be opened, read and written right away; they wait until it has started.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; what the service says to them, every other
 * call for the session returns, `ssmwire_session_ready` first.
 *
 *     ssmwire_session_options options = SSMWIRE_SESSION_OPTIONS_INIT;
 *     ssmwire_session session;
 *     ssmwire_stream stdio;
 *     options.target = "i-0123456789abcdef0";
 *     if (ssmwire_session_start(client, &options, &session, &error) == SSMWIRE_OK
 *         && ssmwire_session_ready(session, 30000, &error) == SSMWIRE_OK
 *         && ssmwire_session_stdio(session, &stdio, &error) == SSMWIRE_OK) {
 *         …
 *         ssmwire_stream_close(stdio);
 *     }
 *     ssmwire_session_close(session, 5000, NULL);
 */
ssmwire_status ssmwire_session_start(ssmwire_client client,
                                     const ssmwire_session_options *options,
                                     ssmwire_session *session,
                                     ssmwire_error *error);

/**
 * Listens to a session that somebody else has started, such as ECS ExecuteCommand or another SDK, and returns at once.
 * A client without credentials will do; then the session can't be resumed, and ends with its first connection.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` if something is missing.
 */
ssmwire_status ssmwire_session_attach(ssmwire_client client,
                                      const ssmwire_attach_options *options,
                                      ssmwire_session *session,
                                      ssmwire_error *error);

/**
 * Opens a shell in a terminal, and returns at once; as `ssmwire_session_start` but for the terminal's first size.
 * `ssmwire_session_stdio` gives its output to read and its input to write.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant.
 */
ssmwire_status ssmwire_shell_start(ssmwire_client client,
                                   const ssmwire_session_options *options,
                                   ssmwire_session *session,
                                   ssmwire_error *error);

/**
 * Waits until the agent is ready.
 *
 * Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. Fails as the start of the
 * session did: `SSMWIRE_TARGET_NOT_CONNECTED`, `SSMWIRE_ACCESS_DENIED`, `SSMWIRE_HANDSHAKE_TIMEOUT` and so on.
 */
ssmwire_status ssmwire_session_ready(ssmwire_session session,
                                     int64_t timeout_ms,
                                     ssmwire_error *error);

/**
 * Opens standard output to read and the terminal's input to write; for a session with one port connection, that. It
 * can be opened more than once; the handles share the bytes.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_session_stdio(ssmwire_session session, ssmwire_stream *stream, ssmwire_error *error);

/**
 * Opens standard error, to read. It ends without a byte where the agent merges it into standard output.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_session_stderr(ssmwire_session session, ssmwire_stream *stream, ssmwire_error *error);

/**
 * Opens a connection to the port of a port session that carries many. Closing the stream closes the connection, and
 * leaves the session. A far host that refuses the connection shows as `SSMWIRE_REMOTE_CONNECT_FAILED` when it is read.
 *
 * Any thread, at once. The stream fails with `SSMWIRE_UNSUPPORTED` if the session is of another kind, and with
 * `SSMWIRE_BUSY` at 4,096 connections.
 */
ssmwire_status ssmwire_session_connect(ssmwire_session session, ssmwire_stream *stream, ssmwire_error *error);

/**
 * Tells the far terminal its size. The last size counts.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the session is being started.
 */
ssmwire_status ssmwire_session_resize(ssmwire_session session, uint16_t columns, uint16_t rows, ssmwire_error *error);

/**
 * Waits until the session is over, and tells the exit code of its command. `is_known` becomes false where the agent
 * does not tell, as for every session with a terminal. What the session has written can still be read. Whoever waits for
 * a command's end must read its output meanwhile, or it may never come.
 *
 * Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. Fails if the session did
 * not come to its normal end, and says why.
 */
ssmwire_status ssmwire_session_exit_code(ssmwire_session session,
                                         int64_t timeout_ms,
                                         int32_t *code,
                                         bool *is_known,
                                         ssmwire_error *error);

/**
 * Queues `tag` in `queue` whenever a call for this session that has returned `SSMWIRE_AGAIN` can go on, and once now.
 * A queue of id 0 ends that. One queue for each session, the last.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_session_watch(ssmwire_session session, ssmwire_queue queue, uint64_t tag, ssmwire_error *error);

/**
 * Ends a session on the service, after what was written is acknowledged, and closes its handle. Unread output is let go.
 * Its streams end; their handles stay the caller's to close.
 *
 * Any thread. Waits as `timeout_ms` says for the end; with 0, and after `SSMWIRE_TIMEOUT`, it comes in the background.
 * The handle is gone in any case. Whoever waits in another call for the session goes on with `SSMWIRE_BAD_HANDLE`.
 */
ssmwire_status ssmwire_session_close(ssmwire_session session,
                                     int64_t timeout_ms,
                                     ssmwire_error *error);

/**
 * Tells what is known of a session.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the session is being started; why it could not be.
 */
ssmwire_status ssmwire_session_get_info(ssmwire_session session, ssmwire_session_info *info, ssmwire_error *error);

/**
 * Tells a session's counters.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the session is being started; why it could not be.
 */
ssmwire_status ssmwire_session_get_stats(ssmwire_session session, ssmwire_session_stats *stats, ssmwire_error *error);

/**
 * Waits for the next event: a message of the agent, a lost connection, its return. `SSMWIRE_EOF` after the session's
 * end. Of events that nobody fetches 64 are kept.
 *
 * Any thread; one at a time for each session, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
 */
ssmwire_status ssmwire_session_event(ssmwire_session session,
                                     int64_t timeout_ms,
                                     ssmwire_event *event,
                                     ssmwire_error *error);

/**
 * Starts a command without a terminal, and returns at once. The session's `stdio` is its standard output, `stderr` its
 * standard error, and `ssmwire_session_exit_code` waits for its end. Both streams share one budget of unread bytes: read
 * both. A byte 3 written to `stdio` interrupts it.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; the session tells the rest:
 * `SSMWIRE_UNSUPPORTED` if the agent is too old to keep the streams apart. `ssmwire_run_start` has a way for such.
 */
ssmwire_status ssmwire_command_start(ssmwire_client client,
                                     const ssmwire_command_options *options,
                                     ssmwire_session *session,
                                     ssmwire_error *error);

/**
 * Runs a command to its end, by whichever way the target allows, and returns at once. What it writes is kept until the
 * handle is closed. It runs at most once.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; `ssmwire_run_wait` tells the rest.
 *
 *     const char *arguments[] = {"uname", "-a"};
 *     ssmwire_command_options options = SSMWIRE_COMMAND_OPTIONS_INIT;
 *     ssmwire_run_result result = SSMWIRE_RUN_RESULT_INIT;
 *     ssmwire_run run;
 *     uint8_t text[4096];
 *     size_t count;
 *     options.target = "i-0123456789abcdef0";
 *     options.arguments = arguments;
 *     options.arguments_len = 2;
 *     if (ssmwire_run_start(client, &options, &run, &error) == SSMWIRE_OK
 *         && ssmwire_run_wait(run, 60000, &result, &error) == SSMWIRE_OK
 *         && ssmwire_run_read(run, SSMWIRE_STDOUT, 0, text, sizeof text, &count, &error) == SSMWIRE_OK) {
 *         printf("exit code %d\n%.*s", (int)result.exit_code, (int)count, (const char *)text);
 *     }
 *     ssmwire_run_close(run, NULL);
 */
ssmwire_status ssmwire_run_start(ssmwire_client client,
                                 const ssmwire_command_options *options,
                                 ssmwire_run *run,
                                 ssmwire_error *error);

/**
 * Waits until a run is over, and tells what it came to. `result` may be NULL. It is filled in for a run that has failed,
 * too: what had arrived can be read.
 *
 * Any thread; one at a time for each run, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says; stopping to wait does not stop
 * the run.
 */
ssmwire_status ssmwire_run_wait(ssmwire_run run,
                                int64_t timeout_ms,
                                ssmwire_run_result *result,
                                ssmwire_error *error);

/**
 * Copies what a run has written: from `offset` on, up to `capacity` bytes of `SSMWIRE_STDOUT` or `SSMWIRE_STDERR`.
 * `SSMWIRE_EOF` behind the last byte, `SSMWIRE_AGAIN` while the run goes on.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_run_read(ssmwire_run run,
                                int which,
                                uint64_t offset,
                                uint8_t *buffer,
                                size_t capacity,
                                size_t *count,
                                ssmwire_error *error);

/**
 * Queues `tag` in `queue` when the run is over after `ssmwire_run_wait` has returned `SSMWIRE_AGAIN`, and once now. A
 * queue of id 0 ends that. One queue for each run, the last.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_run_watch(ssmwire_run run, ssmwire_queue queue, uint64_t tag, ssmwire_error *error);

/**
 * Ends a run that still goes on, and returns at once. `ssmwire_run_wait` returns `SSMWIRE_CANCELLED` soon, and what had
 * arrived can be read. One that is over stays as it is.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_run_stop(ssmwire_run run, ssmwire_error *error);

/**
 * Lets go of a run and of what it has written. One that still goes on is ended, in the background.
 * Who wants what had arrived calls `ssmwire_run_stop` and waits for the run's end first.
 *
 * Any thread, at once. Whoever waits for the run in another call goes on with `SSMWIRE_BAD_HANDLE`.
 */
ssmwire_status ssmwire_run_close(ssmwire_run run, ssmwire_error *error);

/**
 * Runs a command in a terminal in a container (ECS ExecuteCommand), and returns at once, as `ssmwire_session_start`.
 * `ssmwire_session_stdio` gives its output to read and its input to write.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` if something is missing.
 *
 *     ssmwire_ecs_exec_options options = SSMWIRE_ECS_EXEC_OPTIONS_INIT;
 *     options.cluster = "shop";
 *     options.task = "0123456789abcdef0123456789abcdef";
 *     options.command = "/bin/sh";
 *     if (ssmwire_ecs_exec_start(client, &options, &session, &error) == SSMWIRE_OK) …
 */
ssmwire_status ssmwire_ecs_exec_start(ssmwire_client client,
                                      const ssmwire_ecs_exec_options *options,
                                      ssmwire_session *session,
                                      ssmwire_error *error);

/**
 * Waits until the stream is open: its session has started, its connection is made.
 *
 * Any thread; not while another reads it, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
 */
ssmwire_status ssmwire_stream_ready(ssmwire_stream stream, int64_t timeout_ms, ssmwire_error *error);

/**
 * Reads what has arrived, up to `capacity` bytes, at least one. `SSMWIRE_EOF` at the end, and only if nothing was lost.
 * If nobody reads, the far side is stopped in the end; nothing is dropped.
 *
 * One thread at a time, else `SSMWIRE_BUSY`; another may write meanwhile. Waits as `timeout_ms` says for the first byte.
 * Fails after all that had arrived was read, with why the session ended. A call that does not return `SSMWIRE_OK` has
 * taken nothing.
 *
 *     uint8_t buffer[65536];
 *     size_t count;
 *     ssmwire_status status;
 *     while ((status = ssmwire_stream_read(stream, buffer, sizeof buffer, -1, &count, &error)) == SSMWIRE_OK) {
 *         fwrite(buffer, 1, count, stdout);
 *     }
 *     if (status != SSMWIRE_EOF) {
 *         fprintf(stderr, "error: %s\n", error.message);
 *     }
 */
ssmwire_status ssmwire_stream_read(ssmwire_stream stream,
                                   uint8_t *buffer,
                                   size_t capacity,
                                   int64_t timeout_ms,
                                   size_t *count,
                                   ssmwire_error *error);

/**
 * Writes what may be under way, and says in `count` how much of the `length` bytes that is: at least one, unless there
 * are none. Write the rest again.
 *
 * One thread at a time, else `SSMWIRE_BUSY`; another may read meanwhile. Waits as `timeout_ms` says until something can
 * be written: at first until the far side takes input, later until it has acknowledged enough. Fails with why the
 * session ended, and with `SSMWIRE_UNSUPPORTED` on standard error and for a command without a terminal, which has no
 * input but the interrupt (3) and quit (28) characters. A call that does not return `SSMWIRE_OK` has written nothing.
 */
ssmwire_status ssmwire_stream_write(ssmwire_stream stream,
                                    const uint8_t *data,
                                    size_t length,
                                    int64_t timeout_ms,
                                    size_t *count,
                                    ssmwire_error *error);

/**
 * Waits until the agent has acknowledged everything that was written.
 *
 * As `ssmwire_stream_write`: one thread at a time writes or flushes.
 */
ssmwire_status ssmwire_stream_flush(ssmwire_stream stream, int64_t timeout_ms, ssmwire_error *error);

/**
 * Says that no more input comes; reading goes on. A terminal gets its end-of-input character, which ends a shell and
 * most programs that read it. The far end of a port hears of it only when the stream is closed.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the stream is being opened.
 */
ssmwire_status ssmwire_stream_finish(ssmwire_stream stream, ssmwire_error *error);

/**
 * Turns a stream into one end of a pair of sockets, for whoever needs a real descriptor: what is written to it goes to
 * the far side, what comes from there can be read. It is in blocking mode, and the caller's to close. The stream's handle
 * is closed by it. It ends where the stream ends, and on Linux it is reset if
 * the stream fails.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the stream is being opened; `SSMWIRE_UNSUPPORTED` on Windows.
 */
ssmwire_status ssmwire_stream_into_fd(ssmwire_stream stream,
                                      int *fd,
                                      ssmwire_error *error);

/**
 * Queues `tag` in `queue` whenever a read, write or other call for this stream that has returned `SSMWIRE_AGAIN` can go
 * on, and once now. A queue of id 0 ends that. One queue for each stream, the last.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_stream_watch(ssmwire_stream stream, ssmwire_queue queue, uint64_t tag, ssmwire_error *error);

/**
 * Closes a stream's handle. A connection to a port is closed with its last handle; other streams go on. If nothing else
 * holds the session, neither its own handle nor another stream, it ends in the background.
 *
 * Any thread, at once. Whoever waits in another call for the stream goes on with `SSMWIRE_BAD_HANDLE`.
 */
ssmwire_status ssmwire_stream_close(ssmwire_stream stream, ssmwire_error *error);

/**
 * Opens a connection to a port, and returns at once; reads and writes wait until it is there. Nothing listens here.
 * Connections to one place share a session, where the agent is recent enough; `ssmwire_stream_close` closes the
 * connection, and the session ends soon after the last.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; else the stream tells:
 * `SSMWIRE_TARGET_NOT_CONNECTED` and so on, and `SSMWIRE_REMOTE_CONNECT_FAILED` if the far host refuses.
 *
 *     ssmwire_port_options options = SSMWIRE_PORT_OPTIONS_INIT;
 *     ssmwire_stream stream;
 *     options.target = "i-0123456789abcdef0";
 *     options.host = "db.internal";
 *     options.port = 5432;
 *     if (ssmwire_dial_start(client, &options, &stream, &error) == SSMWIRE_OK) …
 */
ssmwire_status ssmwire_dial_start(ssmwire_client client,
                                  const ssmwire_port_options *options,
                                  ssmwire_stream *stream,
                                  ssmwire_error *error);

/**
 * Forwards a local address to a port, and returns at once. It goes on until it is closed: of sessions that are lost for
 * good, the next connection starts new ones; a connection that can't be made is reset, and told as an event.
 *
 * Any thread. `SSMWIRE_INVALID_ARGUMENT` for options that can't be meant; `ssmwire_forward_ready` tells the rest.
 */
ssmwire_status ssmwire_forward_start(ssmwire_client client,
                                     const ssmwire_port_options *options,
                                     ssmwire_forward *forward,
                                     ssmwire_error *error);

/**
 * Waits until the first connection can be made.
 *
 * Any thread; one at a time for each forward, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says. `SSMWIRE_LISTEN_FAILED` if
 * the local address can't be had; else as `ssmwire_session_ready`.
 */
ssmwire_status ssmwire_forward_ready(ssmwire_forward forward,
                                     int64_t timeout_ms,
                                     ssmwire_error *error);

/**
 * Copies the local address, `127.0.0.1:41234` or `unix:PATH`, with a zero byte behind it.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the forward is being started; `SSMWIRE_INVALID_ARGUMENT` if `capacity` is too
 * small.
 */
ssmwire_status ssmwire_forward_address(ssmwire_forward forward,
                                       char *address,
                                       size_t capacity,
                                       ssmwire_error *error);

/**
 * Waits for the next event: a local connection that was reset since the far side failed, or could not be accepted.
 * `SSMWIRE_EOF` after the forward's end. Of events that nobody fetches the newest 64 are kept.
 *
 * Any thread; one at a time for each forward, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
 */
ssmwire_status ssmwire_forward_event(ssmwire_forward forward,
                                     int64_t timeout_ms,
                                     ssmwire_event *event,
                                     ssmwire_error *error);

/**
 * Tells a forward's counters.
 *
 * Any thread, at once. `SSMWIRE_AGAIN` while the forward is being started.
 */
ssmwire_status ssmwire_forward_get_stats(ssmwire_forward forward, ssmwire_forward_stats *stats, ssmwire_error *error);

/**
 * Queues `tag` in `queue` whenever a call for this forward that has returned `SSMWIRE_AGAIN` can go on, and once now. A
 * queue of id 0 ends that. One queue for each forward, the last.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_forward_watch(ssmwire_forward forward, ssmwire_queue queue, uint64_t tag, ssmwire_error *error);

/**
 * Stops listening, cuts the connections, ends the sessions on the service, and closes the handle.
 *
 * Any thread. Waits as `timeout_ms` says for the end; with 0, and after `SSMWIRE_TIMEOUT`, it comes in the background.
 * The handle is gone in any case. Whoever waits in another call for the forward goes on with `SSMWIRE_BAD_HANDLE`.
 */
ssmwire_status ssmwire_forward_close(ssmwire_forward forward, int64_t timeout_ms, ssmwire_error *error);

/**
 * Opens a queue. Handles are put under its watch by `ssmwire_…_watch`.
 *
 * A tag is queued when a call for its handle that has returned `SSMWIRE_AGAIN` is worth trying again, and is in the queue
 * once at most. So: take the tags, try each one's calls with a time-out of 0 until they return `SSMWIRE_AGAIN`, and only
 * then wait again. A tag may come for nothing.
 *
 * Any thread. `SSMWIRE_INTERNAL` if there is no descriptor to be had.
 *
 *     struct pollfd loop = {ssmwire_queue_fd(queue), POLLIN, 0};
 *     ssmwire_status status = ssmwire_stream_watch(stream, queue, 1, &error);
 *     while ((status == SSMWIRE_OK || status == SSMWIRE_AGAIN) && poll(&loop, 1, -1) >= 0) {
 *         uint64_t tags[64];
 *         size_t i, count;
 *         ssmwire_queue_wait(queue, tags, 64, 0, &count, NULL);
 *         for (i = 0; i < count; i++) {
 *             while ((status = ssmwire_stream_read(stream, buffer, sizeof buffer, 0, &length, &error)) == SSMWIRE_OK) {
 *                 use(buffer, length);
 *             }
 *         }
 *     }
 */
ssmwire_status ssmwire_queue_open(ssmwire_queue *queue,
                                  ssmwire_error *error);

/**
 * Returns a descriptor that can be read while a tag is queued: for `poll`, `epoll` and the like, and for nothing else. It
 * is the queue's, and closed with it. -1 if the queue is not open, and on Windows.
 *
 * Any thread, at once.
 */
int ssmwire_queue_fd(ssmwire_queue queue);

/**
 * Waits until there are tags, and takes up to `capacity` of them, the longest queued first. `count` says how many: 0 if
 * `ssmwire_queue_wake` has ended the wait, another thread was faster, or the call fails.
 *
 * Any thread, and several at once: each tag goes to one. Waits as `timeout_ms` says.
 */
ssmwire_status ssmwire_queue_wait(ssmwire_queue queue,
                                  uint64_t *tags,
                                  size_t capacity,
                                  int64_t timeout_ms,
                                  size_t *count,
                                  ssmwire_error *error);

/**
 * Ends a wait for the queue, or the next one if there is none now.
 *
 * Any thread, at once.
 */
ssmwire_status ssmwire_queue_wake(ssmwire_queue queue, ssmwire_error *error);

/**
 * Closes a queue and its descriptor. What it has watched is watched no more, and stays open.
 *
 * Any thread, at once. Whoever waits for the queue goes on with `SSMWIRE_BAD_HANDLE`.
 */
ssmwire_status ssmwire_queue_close(ssmwire_queue queue, ssmwire_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SSMWIRE_H */
