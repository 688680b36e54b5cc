//! The structs of a core/v1 Container: their fields in the order in which Go writes them.

use super::writer::Field;
use super::writer::Shape::{Always, Inline, Plain, Pointer, Quantities, Quantity, Struct, Structs, Values};

/// Text that is written though it is empty.
const TEXT: super::writer::Shape = Always("\"\"");
/// A number that is written though it is zero.
const NUMBER: super::writer::Shape = Always("0");

/// A sidecar: a container, and what this API adds to it.
pub(super) const SIDECAR: &[Field] = &[
    Field("name", TEXT),
    Field("image", Plain),
    Field("command", Values),
    Field("args", Values),
    Field("workingDir", Plain),
    Field("ports", Structs(PORT)),
    Field("envFrom", Structs(ENV_FROM)),
    Field("env", Structs(ENV)),
    Field("resources", Inline(RESOURCES)),
    Field("resizePolicy", Structs(RESIZE_POLICY)),
    Field("restartPolicy", Plain),
    Field("restartPolicyRules", Values),
    Field("volumeMounts", Structs(VOLUME_MOUNT)),
    Field("volumeDevices", Structs(VOLUME_DEVICE)),
    Field("livenessProbe", Struct(PROBE)),
    Field("readinessProbe", Struct(PROBE)),
    Field("startupProbe", Struct(PROBE)),
    Field("lifecycle", Struct(LIFECYCLE)),
    Field("terminationMessagePath", Plain),
    Field("terminationMessagePolicy", Plain),
    Field("imagePullPolicy", Plain),
    Field("securityContext", Struct(SECURITY_CONTEXT)),
    Field("stdin", Plain),
    Field("stdinOnce", Plain),
    Field("tty", Plain),
    Field("podInjectPolicy", Plain),
    Field("upgradeStrategy", Inline(UPGRADE_STRATEGY)),
    Field("shareVolumePolicy", Inline(SHARE_POLICY)),
    Field("shareVolumeDevicePolicy", Struct(SHARE_POLICY)),
    Field("transferEnv", Structs(TRANSFER_ENV)),
    Field("resourcesPolicy", Struct(RESOURCES_POLICY)),
];

const PORT: &[Field] = &[
    Field("name", Plain),
    Field("hostPort", Plain),
    Field("containerPort", NUMBER),
    Field("protocol", Plain),
    Field("hostIP", Plain),
];

const ENV_FROM: &[Field] = &[
    Field("prefix", Plain),
    Field("configMapRef", Struct(REFERENCE)),
    Field("secretRef", Struct(REFERENCE)),
];

const REFERENCE: &[Field] = &[Field("name", Plain), Field("optional", Pointer)];

const ENV: &[Field] = &[
    Field("name", TEXT),
    Field("value", Plain),
    Field(
        "valueFrom",
        Struct(&[
            Field("fieldRef", Struct(FIELD_REF)),
            Field(
                "resourceFieldRef",
                Struct(&[
                    Field("containerName", Plain),
                    Field("resource", TEXT),
                    Field("divisor", Quantity),
                ]),
            ),
            Field("configMapKeyRef", Struct(KEY_REF)),
            Field("secretKeyRef", Struct(KEY_REF)),
        ]),
    ),
];

const FIELD_REF: &[Field] = &[Field("apiVersion", Plain), Field("fieldPath", TEXT)];

const KEY_REF: &[Field] = &[
    Field("name", Plain),
    Field("key", TEXT),
    Field("optional", Pointer),
];

const RESOURCES: &[Field] = &[
    Field("limits", Quantities),
    Field("requests", Quantities),
    Field("claims", Structs(&[Field("name", TEXT), Field("request", Plain)])),
];

const RESIZE_POLICY: &[Field] = &[Field("resourceName", TEXT), Field("restartPolicy", TEXT)];

const VOLUME_MOUNT: &[Field] = &[
    Field("name", TEXT),
    Field("readOnly", Plain),
    Field("recursiveReadOnly", Pointer),
    Field("mountPath", TEXT),
    Field("subPath", Plain),
    Field("mountPropagation", Pointer),
    Field("subPathExpr", Plain),
];

const VOLUME_DEVICE: &[Field] = &[Field("name", TEXT), Field("devicePath", TEXT)];

const PROBE: &[Field] = &[
    Field("exec", Struct(EXEC)),
    Field("httpGet", Struct(HTTP_GET)),
    Field("tcpSocket", Struct(TCP_SOCKET)),
    Field(
        "grpc",
        Struct(&[Field("port", NUMBER), Field("service", Always("null"))]),
    ),
    Field("initialDelaySeconds", Plain),
    Field("timeoutSeconds", Plain),
    Field("periodSeconds", Plain),
    Field("successThreshold", Plain),
    Field("failureThreshold", Plain),
    Field("terminationGracePeriodSeconds", Pointer),
];

const LIFECYCLE: &[Field] = &[
    Field("postStart", Struct(HANDLER)),
    Field("preStop", Struct(HANDLER)),
    Field("stopSignal", Pointer),
];

const HANDLER: &[Field] = &[
    Field("exec", Struct(EXEC)),
    Field("httpGet", Struct(HTTP_GET)),
    Field("tcpSocket", Struct(TCP_SOCKET)),
    Field("sleep", Struct(&[Field("seconds", NUMBER)])),
];

const EXEC: &[Field] = &[Field("command", Values)];

const HTTP_GET: &[Field] = &[
    Field("path", Plain),
    Field("port", NUMBER),
    Field("host", Plain),
    Field("scheme", Plain),
    Field(
        "httpHeaders",
        Structs(&[Field("name", TEXT), Field("value", TEXT)]),
    ),
];

const TCP_SOCKET: &[Field] = &[Field("port", NUMBER), Field("host", Plain)];

const SECURITY_CONTEXT: &[Field] = &[
    Field(
        "capabilities",
        Struct(&[Field("add", Values), Field("drop", Values)]),
    ),
    Field("privileged", Pointer),
    Field(
        "seLinuxOptions",
        Struct(&[
            Field("user", Plain),
            Field("role", Plain),
            Field("type", Plain),
            Field("level", Plain),
        ]),
    ),
    Field(
        "windowsOptions",
        Struct(&[
            Field("gmsaCredentialSpecName", Pointer),
            Field("gmsaCredentialSpec", Pointer),
            Field("runAsUserName", Pointer),
            Field("hostProcess", Pointer),
        ]),
    ),
    Field("runAsUser", Pointer),
    Field("runAsGroup", Pointer),
    Field("runAsNonRoot", Pointer),
    Field("readOnlyRootFilesystem", Pointer),
    Field("allowPrivilegeEscalation", Pointer),
    Field("procMount", Pointer),
    Field("seccompProfile", Struct(PROFILE)),
    Field("appArmorProfile", Struct(PROFILE)),
];

const PROFILE: &[Field] = &[Field("type", TEXT), Field("localhostProfile", Pointer)];

const UPGRADE_STRATEGY: &[Field] = &[Field("upgradeType", Plain), Field("hotUpgradeEmptyImage", Plain)];

const SHARE_POLICY: &[Field] = &[Field("type", Plain)];

const TRANSFER_ENV: &[Field] = &[
    Field("sourceContainerName", Plain),
    Field(
        "sourceContainerNameFrom",
        Struct(&[Field("fieldRef", Struct(FIELD_REF))]),
    ),
    Field("envName", Plain),
    Field("envNames", Values),
];

const RESOURCES_POLICY: &[Field] = &[
    Field("targetContainersMode", Plain),
    Field("targetContainersNameRegex", Plain),
    Field(
        "resourcesExpr",
        Inline(&[
            Field("limits", Struct(EXPRESSIONS)),
            Field("requests", Struct(EXPRESSIONS)),
        ]),
    ),
];

const EXPRESSIONS: &[Field] = &[Field("cpu", Plain), Field("memory", Plain)];
