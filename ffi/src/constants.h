
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
