"""A target of webhooks that verifies each delivery with the package of Standard Webhooks, and refuses or loses some."""
import base64
import http.server
import os
import threading

from standardwebhooks import Webhook


class Target:
    """An application that takes deliveries on the loopback interface."""

    def __init__(self, random):
        self.random, self.lock, self.faults = random, threading.Lock(), []
        # What it took, in order, without repetitions; the bytes of each batch; the batch that must come next.
        self.events, self.batches, self.expected = [], {}, None
        self.starts, self.first_seen = 0, {}
        self.deliveries = self.repeated = self.over_restarts = 0
        self.refusing, self.refused = False, threading.Event()
        self.secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = target.take(dict(self.headers.items()), body)
                # Without a status the connection ends: the server cannot know whether the batch was taken.
                if status:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def take(self, headers, body):
        """Checks a delivery. The status of the answer, or None for no answer."""
        with self.lock:
            self.deliveries += 1
            try:
                events = Webhook(self.secret).verify(body, headers)
            except Exception as error:  # Whatever the package refuses is a fault.
                self.faults.append(f"a delivery was not verified: {error!r}")
                return 400
            id_ = {name.lower(): value for name, value in headers.items()}["webhook-id"]
            self.check_repetition(id_, body)
            if self.refusing or self.random.random() < 0.05:
                self.expected = id_
                self.refused.set()
                return 503
            if list(self.batches)[-1] != id_:
                self.faults.append(f"batch {id_} came again after a later one")
            self.expected = None
            # A batch that was taken before, though the server could not know, is ignored.
            if id_ in self.first_seen and self.first_seen[id_] is not None:
                self.events += [event["id"] for event in events]
                self.first_seen[id_] = None
            if self.random.random() < 0.03:
                self.expected = id_
                return None
            return 204

    def check_repetition(self, id_, body):
        if self.expected not in (None, id_):
            self.faults.append(f"batch {id_} came before {self.expected} was taken")
        if id_ not in self.batches:
            self.batches[id_], self.first_seen[id_] = body, self.starts
            return
        self.repeated += 1
        if self.first_seen[id_] not in (None, self.starts):
            self.over_restarts += 1
        if self.batches[id_] != body:
            self.faults.append(f"batch {id_} came again with other bytes")

    def refuse_until_restart(self):
        """Waits until a batch was refused, at most a few seconds; whatever comes is refused until `restarted`."""
        with self.lock:
            self.refusing = True
            self.refused.clear()
        self.refused.wait(5)

    def restarted(self):
        with self.lock:
            self.starts += 1
            self.refusing = False
