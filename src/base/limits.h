/* SPDX-License-Identifier: Apache-2.0
 *
 * Every bound of the system, in one place. What can grow has a maximum here and a test that reaches
 * it. Sizes are in bytes, times in milliseconds unless the name says otherwise.
 */
#ifndef FL_BASE_LIMITS_H
#define FL_BASE_LIMITS_H

enum {
    /* Names and texts */
    FL_LIMIT_REASON = 256, /* why someone did something */
    FL_LIMIT_SITE = 64,
    FL_LIMIT_HOST = 253,       /* RFC 1035 */
    FL_LIMIT_HOSTS = 16,       /* names and addresses one hub answers to */
    FL_LIMIT_STATUS_URL = 300, /* "http://hub.example:8080" */
    FL_LIMIT_ADDRESS = 64,     /* "[2001:db8::1]:65535" */
    FL_LIMIT_SERIAL_HEX = 41,  /* 20 octets (RFC 5280 4.1.2.2) and the terminator */

    /* Configuration and profiles (codec/conf, codec/profile) */
    FL_LIMIT_CONF_SIZE = 256 * 1024,
    FL_LIMIT_CONF_DEPTH = 8,
    FL_LIMIT_CONF_NODES = 16384,
    FL_LIMIT_CONF_WORDS = 64, /* in one statement */
    FL_LIMIT_CONF_WORD = 4096,
    FL_LIMIT_PROFILE_SIZE = 64 * 1024,
    FL_LIMIT_PROFILE_TOPICS = 64, /* publish and subscribe filters each */
    FL_LIMIT_PROFILE_STREAMS = 256,
    FL_LIMIT_PROFILES = 4096,
    FL_LIMIT_PROFILE_KEYS = 32, /* in profile-keys.pem */

    /* Evidence (codec/evidence, trust/attest, service/evidence) */
    FL_LIMIT_CLAIM = 128,            /* one word of a device about itself */
    FL_LIMIT_PCRS = 24,              /* of a TPM's bank */
    FL_LIMIT_TPM_PUBLIC = 1024,      /* a public area */
    FL_LIMIT_QUOTE = 1024,           /* and its signature, each */
    FL_LIMIT_EVENT_LOG = 512 * 1024, /* measured boot */
    FL_LIMIT_EVENT_LOG_EVENTS = 8192,
    FL_LIMIT_NONCES = 16384, /* given out and not used, one a device */
    FL_LIMIT_NONCE_MS = 60000,
    FL_LIMIT_NONCES_DEVICE = 30,     /* asked for by one device in FL_LIMIT_NONCE_MS */
    FL_LIMIT_ACTIVATIONS = 4096,     /* of attestation keys, under way, one a device */
    FL_LIMIT_REFERENCES = 16,        /* boot states that are good for one profile */
    FL_LIMIT_EVIDENCE_S = 24 * 3600, /* how long evidence counts when the profile is silent */

    /* Keys, requests, certificates (trust) */
    FL_LIMIT_CSR = 16 * 1024, /* DER */
    FL_LIMIT_CERT = 16 * 1024,
    FL_LIMIT_CHAIN = 64 * 1024,
    FL_LIMIT_TOKEN_TEXT = 1024,
    FL_LIMIT_PKCS11_URI = 1024,
    FL_LIMIT_RENEW_PERCENT = 70, /* of a certificate's life; the window after it is a third of it */
    FL_LIMIT_RENEW_EXPIRED_MIN_S = 3600, /* after the end of a certificate */
    FL_LIMIT_RENEW_EXPIRED_MAX_S = 90 * 86400,
    FL_LIMIT_DEVICE_CERTS = 4, /* live credentials of one device: old and new during renewal */
    FL_LIMIT_CRL = 12 * 1024 * 1024, /* DER */
    FL_LIMIT_CRL_ENTRIES = 200000,
    FL_LIMIT_CRL_ENTRY = 30,       /* on its way between processes */
    FL_LIMIT_STATUS_FORGET = 1000, /* expired entries taken out at once */
    FL_LIMIT_OCSP_REQUEST = 2048,  /* DER */
    FL_LIMIT_OCSP_IDS = 4,         /* certificates asked about in one request */
    FL_LIMIT_OCSP_RESPONSE = 4096, /* DER, with the responder's certificate */
    FL_LIMIT_OCSP_CACHE = 16384,   /* responses that the front keeps */
    FL_LIMIT_OCSP_ASKED = 256,     /* questions of the front that the hub has not answered */

    /* The issuance log (proto/issuance) */
    FL_LIMIT_ISSUED_REASON = 96,                /* what control says a certificate is for */
    FL_LIMIT_ISSUED_TEXT = 256,                 /* why one was refused */
    FL_LIMIT_ISSUED_SEGMENT = 16 * 1024 * 1024, /* a file; the next one begins over it */
    FL_LIMIT_ISSUED_SEGMENTS = 4096,            /* files of one log: 64 GiB */
    FL_LIMIT_ISSUED_PENDING = 512 * 1024,       /* bytes of one batch */
    FL_LIMIT_ISSUED_BATCH = 128,                /* certificates that wait for one sync */
    FL_LIMIT_ISSUED_PAGE = 64 * 1024,           /* bytes of one answer about the log */
    FL_LIMIT_ISSUED_CHECKED = 64 * 1024 * 1024, /* certificates in one check against the registry */

    /* Between processes (codec/msg) */
    FL_LIMIT_MSG = 1024 * 1024,                /* one frame */
    FL_LIMIT_CHANNEL_QUEUE = 64 * 1024 * 1024, /* unsent bytes to one peer process */
    FL_LIMIT_CHANNEL_FDS = 16,                 /* descriptors on their way, each direction */

    /* Watching (codec/counters, front/meter, service/heaviest) */
    FL_LIMIT_WORKERS = 64, /* of the front */
    FL_LIMIT_BUSIEST = 32, /* devices followed as the busiest, by messages and by bytes each */

    /* Rates of a device whose profile says nothing (front/rates): what one connection of an honest
     * device never needs, and what one machine bears from some. */
    FL_LIMIT_RATE_MESSAGES = 10000, /* a second */
    FL_LIMIT_RATE_MESSAGES_BURST = 20000,
    FL_LIMIT_RATE_BYTES = 16 * 1024 * 1024, /* a second */
    FL_LIMIT_RATE_BYTES_BURST = 32 * 1024 * 1024,

    /* MQTT */
    FL_LIMIT_MQTT_PACKET = 256 * 1024,
    FL_LIMIT_MQTT_TOPIC = 1024,
    FL_LIMIT_MQTT_TOPIC_LEVELS = 32,
    FL_LIMIT_MQTT_CLIENT_ID = 256,
    FL_LIMIT_MQTT_PROPERTIES = 8 * 1024,
    FL_LIMIT_MQTT_SUBSCRIPTIONS = 256, /* of one session */
    FL_LIMIT_MQTT_INFLIGHT = 64,       /* unacknowledged, each way, of one session */
    FL_LIMIT_MQTT_SMALL = 4096,        /* payload and properties; of such messages */
    FL_LIMIT_MQTT_WINDOW_SMALL = 512,  /* this many are sent to a client ahead of its answers */
    FL_LIMIT_MQTT_UNRELEASED = 1024,   /* QoS 2 publishes of one session that wait for PUBREL */
    FL_LIMIT_MQTT_ALIASES = 16,        /* topic aliases of one connection, each way */
    FL_LIMIT_MQTT_KEEP_ALIVE_S = 60,   /* what an MQTT 5 client is told when it asks for more */
    FL_LIMIT_MQTT_QUEUE = 20000,       /* messages waiting for one session */
    FL_LIMIT_MQTT_QUEUE_BYTES = 32 * 1024 * 1024,
    FL_LIMIT_MQTT_RETAINED = 100000,
    FL_LIMIT_MQTT_RETAINED_BYTES = 256 * 1024 * 1024,
    FL_LIMIT_MQTT_OUT = 1024 * 1024, /* unsent bytes of one connection before it must wait */
    /* After a restart, before the will of a client that was there is said, unless it asked for
       more. */
    FL_LIMIT_MQTT_WILL_GRACE_MS = 60 * 1000,
    FL_LIMIT_MQTT_SESSION_EXPIRY_S = 7 * 24 * 3600,
    FL_LIMIT_MQTT_SESSIONS = 200000,
    FL_LIMIT_BROKER_LOG = 64 * 1024 * 1024, /* written down in one round, not yet committed */
    FL_LIMIT_BROKER_RESTORED = 32768,       /* messages on their way to one session, read back */
    FL_LIMIT_MQTT_DEVICE_SESSIONS = 128,    /* and connections, of one device */
    FL_LIMIT_MQTT_DEVICE_RETAINED = 1000,
    FL_LIMIT_MQTT_DEVICE_RETAINED_BYTES = 4 * 1024 * 1024,
    FL_LIMIT_WEBSOCKET_FRAME = 1024 * 1024, /* from a client; never held as a whole */

    /* Connections of the front */
    FL_LIMIT_CONNECTIONS = 100000,
    FL_LIMIT_WORKERS_AUTO = 16,     /* `workers auto` */
    FL_LIMIT_HANDSHAKE_MS = 10000,  /* TLS, and then CONNECT */
    FL_LIMIT_HUB_ANSWER_MS = 20000, /* to a request that came over HTTPS */
    FL_LIMIT_REFUSALS = 4096,       /* kinds of refused messages counted at a time */
    FL_LIMIT_REFUSED_SESSIONS = 20, /* refused connections told in a second */
    FL_LIMIT_HTTP_HEAD = 16 * 1024,
    FL_LIMIT_HTTP_HEADERS = 64,
    FL_LIMIT_HTTP_CONNECTIONS = 4096,        /* of one listener; the quietest gives way */
    FL_LIMIT_HTTP_BODIES = 64 * 1024 * 1024, /* of all requests of one listener together */
    FL_LIMIT_HTTP_RESPONSE = 16 * 1024 * 1024,
    FL_LIMIT_HTTP_METHOD = 16,
    FL_LIMIT_HTTP_TARGET = 8 * 1024, /* as on the wire */
    FL_LIMIT_HTTP_PATH = 2048,       /* decoded */
    FL_LIMIT_HTTP_QUERY = 4096,
    FL_LIMIT_HTTP_CHUNK_LINE = 256, /* a chunk's size and its extensions */
    FL_LIMIT_HTTP_TRAILERS = 4096,
    FL_LIMIT_HTTP_BODY = 1024 * 1024,
    FL_LIMIT_HTTP_REQUEST_MS = 30000, /* from the first byte of a request to its last */
    FL_LIMIT_HTTP_IDLE_MS = 60000,
    FL_LIMIT_TLS_SESSIONS = 100000,      /* resumable sessions remembered */
    FL_LIMIT_TLS_LOG = 64 * 1024 * 1024, /* of changes to them, not written yet */
    FL_LIMIT_TLS_SESSIONS_DEVICE = 4,    /* of one device; the oldest gives way */
    FL_LIMIT_TLS_SESSION_S = 24 * 3600,

    /* Readings */
    FL_LIMIT_READINGS_PAYLOAD = 64 * 1024,
    FL_LIMIT_READINGS_PER_MESSAGE = 256,
    FL_LIMIT_READINGS_UNCOMMITTED = 65536, /* at the front, waiting for the hub */
    FL_LIMIT_READINGS_WORKER = 16384,      /* of them, at least, by each thread of the front */
    FL_LIMIT_STAMPS = 65536,               /* streams whose last time the front remembers */
    FL_LIMIT_READINGS_PAGE = 10000,        /* of one API answer */
    FL_LIMIT_BUCKET_STREAMS = 1024,        /* of one device, in one bucket */
    FL_LIMIT_READINGS_PASS = 100000,       /* looked at for one answer in buckets */
    FL_LIMIT_SERIES_CACHE = 65536,         /* device and stream pairs the store keeps in memory */

    /* Enrolment */
    FL_LIMIT_TOKEN_TTL_S = 7 * 24 * 3600,
    FL_LIMIT_TOKEN_TTL_DEFAULT_S = 15 * 60,
    /* Failed enrolments in FL_LIMIT_ENROL_WINDOW_MS before the next must wait. An address may stand
     * for a whole site behind NAT: one clumsy device must not lock its neighbours out. */
    FL_LIMIT_ENROL_FAILURES = 5, /* of one device id */
    FL_LIMIT_ENROL_FAILURES_ADDRESS = 60,
    FL_LIMIT_ENROL_WINDOW_MS = 60000,
    FL_LIMIT_ENROL_TRACKED = 16384, /* device ids and addresses with failures remembered */
    FL_LIMIT_ENROL_IN_FLIGHT = 256, /* at the signer */

    /* Hub */
    FL_LIMIT_DEVICES = 1000000,
    FL_LIMIT_BATCHES = 8 * 1024 * 1024, /* bytes of readings waiting for one commit, or for keys */
    FL_LIMIT_BATCHES_WAITING = 1024,    /* batches waiting for their devices' keys */
    FL_LIMIT_DATA_KEYS = 16384,         /* devices whose data key is in memory */
    FL_LIMIT_SWEEP_SERIES = 200,        /* looked at in one step of retention */
    FL_LIMIT_SWEEP_READINGS = 1000,     /* deleted or sealed in one step */
    FL_LIMIT_REFUSALS_AUDITED = 10,     /* per device and minute; the rest is counted */
    FL_LIMIT_VERIFIES = 8,              /* checks of the audit log at once */
    FL_LIMIT_PRINCIPALS = 1000,
    FL_LIMIT_PRINCIPAL_S = 30 * 24 * 3600, /* how long an administrator's credential lives */
    FL_LIMIT_PRINCIPAL_METRICS_S = 366 * 24 * 3600, /* one that may read metrics and nothing else */
    FL_LIMIT_ACTION_S = 365 * 24 * 3600,
    FL_LIMIT_PENDING_API = 1024,
    FL_LIMIT_PAGE = 1000, /* rows of one API answer but for readings */

    /* The log of the message plane (proto/journal, front/keeper). Counts: bytes may pass 32 bits.
     */
    FL_LIMIT_JOURNAL_SEGMENT = 16 * 1024 * 1024,
    FL_LIMIT_JOURNAL_SEGMENTS = 65536,       /* files of one log: 1 TiB of the usual size */
    FL_LIMIT_JOURNAL_SEGMENTS_DEFAULT = 256, /* 4 GiB */
    FL_LIMIT_LOG_REPLAY = 250 * 1000, /* records since a checkpoint, or twice what that one wrote */
    FL_LIMIT_JOURNAL_RETAINED = 64 * 1024 * 1024, /* bytes appended ahead of the disk */
    FL_LIMIT_KEEPER_MEMBERS = 64,                 /* threads that share one log */

    /* Agent */
    FL_LIMIT_AGENT_LINE = 8192, /* of a CSV file or standard input */
    FL_LIMIT_AGENT_SENSORS = 16,
    FL_LIMIT_AGENT_STREAMS = 1024,
    FL_LIMIT_CSV_COLUMNS = 64,
    FL_LIMIT_OUTBOX_BYTES = 256 * 1024 * 1024,
    FL_LIMIT_OUTBOX_RECORD = 64 * 1024,
    FL_LIMIT_OUTBOX_SEGMENT = 1024 * 1024,
    FL_LIMIT_OUTBOX_SEGMENTS = 1024, /* files of one outbox */
};

#endif
