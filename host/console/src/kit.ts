// Code that every page uses, listed here so that the bundler puts it into one file: a request for
// each of twenty small files would cost more than their bytes. build.mjs makes all pages and flows
// import this file.

import "preact";
import "preact/hooks";
import "@preact/signals";
import "./api/client";
import "./api/connection";
import "./api/fleet";
import "./api/problem";
import "./api/session";
import "./api/workers";
import "./flows/new-worker-source";
import "./parts/button";
import "./parts/dialog";
import "./parts/empty";
import "./parts/field";
import "./parts/figures";
import "./parts/hint";
import "./parts/icon";
import "./parts/keys";
import "./parts/load";
import "./parts/menu";
import "./parts/name";
import "./parts/page";
import "./parts/problem";
import "./parts/state";
import "./parts/time";
import "./parts/toast";
import "./prefs";
import "./router";
import "./text/bytes";
import "./text/guest";
import "./text/time";
