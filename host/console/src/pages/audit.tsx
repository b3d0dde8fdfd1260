// The page "audit".

import { Page } from "../parts/page";
import type { PageProps } from "../shell/pages";

export default function AuditPage(_: PageProps<"audit">) {
  return <Page title="Audit">{null}</Page>;
}
