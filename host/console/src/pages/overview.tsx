// The overview: runtimes, hosts, their health, and what needs attention.

import { Page } from "../parts/page";

export default function OverviewPage() {
  return <Page title="Overview">{null}</Page>;
}
