"""A small ResNet with its gradients in plain numpy, for train.py: basic blocks, projection shortcuts, torchvision's
tensor names. Activations are N x H x W x C float32, convolution weights OIHW. Each layer keeps what its backward pass
needs."""

import numpy as np

EPSILON = 1e-5


class Store:
    """Named parameters, their gradients, and the running statistics."""

    def __init__(self, values=None):
        self.values, self.gradients = dict(values or {}), {}

    def add(self, name, value):
        self.values.setdefault(name, value.astype(np.float32))


class Conv:
    def __init__(self, store, rng, name, ic, oc, kernel, stride, padding):
        self.store, self.name = store, name + ".weight"
        self.kernel, self.stride, self.padding = kernel, stride, padding
        deviation = np.sqrt(2 / (ic * kernel * kernel))
        store.add(self.name, deviation * rng.standard_normal((oc, ic, kernel, kernel)))

    def taps(self, padded, h, w):
        """For each kernel position (row, column), the pixels of `padded` that it meets: N x h x w x C, a view."""
        s = self.stride
        for kh in range(self.kernel):
            for kw in range(self.kernel):
                yield kh, kw, padded[:, kh : kh + (h - 1) * s + 1 : s, kw : kw + (w - 1) * s + 1 : s]

    def forward(self, x, training):
        p = self.padding
        self.padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        h, w = ((size + 2 * p - self.kernel) // self.stride + 1 for size in x.shape[1:3])
        weight = self.store.values[self.name]
        return sum(pixels @ weight[:, :, kh, kw].T for kh, kw, pixels in self.taps(self.padded, h, w))

    def backward(self, dy):
        weight = self.store.values[self.name]
        gradient, dx = np.zeros_like(weight), np.zeros_like(self.padded)
        flat = dy.reshape(-1, dy.shape[3])
        targets = self.taps(dx, *dy.shape[1:3])
        for (kh, kw, pixels), (_, _, target) in zip(self.taps(self.padded, *dy.shape[1:3]), targets):
            gradient[:, :, kh, kw] = flat.T @ pixels.reshape(len(flat), -1)
            target += dy @ weight[:, :, kh, kw]
        self.store.gradients[self.name] = gradient
        p = self.padding
        return dx[:, p : dx.shape[1] - p, p : dx.shape[2] - p]


class BatchNorm:
    def __init__(self, store, name, c):
        self.store, self.name = store, name
        for part, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            store.add(f"{name}.{part}", np.full(c, value))

    def forward(self, x, training):
        values, name = self.store.values, self.name
        mean, var = values[name + ".running_mean"], values[name + ".running_var"]
        if training:
            count = x.size // x.shape[3]
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            for part, now in ((".running_mean", mean), (".running_var", var * count / (count - 1))):
                values[name + part] = (0.9 * values[name + part] + 0.1 * now).astype(np.float32)
        self.inverse = 1 / np.sqrt(var + np.float32(EPSILON))
        self.normal = (x - mean) * self.inverse
        return self.normal * values[name + ".weight"] + values[name + ".bias"]

    def backward(self, dy):
        self.store.gradients[self.name + ".bias"] = dy.sum((0, 1, 2))
        self.store.gradients[self.name + ".weight"] = (dy * self.normal).sum((0, 1, 2))
        shared = dy.mean((0, 1, 2)) + self.normal * (dy * self.normal).mean((0, 1, 2))
        return (dy - shared) * self.inverse * self.store.values[self.name + ".weight"]


class Relu:
    def forward(self, x, training):
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy):
        return dy * self.positive


class Sequence:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x, training):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Block:
    def __init__(self, store, rng, name, ic, oc, stride):
        self.branch = Sequence(
            Conv(store, rng, name + ".conv1", ic, oc, 3, stride, 1), BatchNorm(store, name + ".bn1", oc), Relu(),
            Conv(store, rng, name + ".conv2", oc, oc, 3, 1, 1), BatchNorm(store, name + ".bn2", oc))
        self.shortcut = Sequence()
        if stride != 1 or ic != oc:
            self.shortcut = Sequence(Conv(store, rng, name + ".downsample.0", ic, oc, 1, stride, 0),
                                     BatchNorm(store, name + ".downsample.1", oc))
        self.relu = Relu()

    def forward(self, x, training):
        return self.relu.forward(self.branch.forward(x, training) + self.shortcut.forward(x, training), training)

    def backward(self, dy):
        dy = self.relu.backward(dy)
        return self.branch.backward(dy) + self.shortcut.backward(dy)


class Head:
    """Global average pool and a linear layer."""

    def __init__(self, store, rng, c, classes):
        self.store = store
        store.add("fc.weight", rng.standard_normal((classes, c)) / np.sqrt(c))
        store.add("fc.bias", np.zeros(classes))

    def forward(self, x, training):
        self.shape, self.pooled = x.shape, x.mean((1, 2))
        return self.pooled @ self.store.values["fc.weight"].T + self.store.values["fc.bias"]

    def backward(self, dy):
        self.store.gradients["fc.weight"] = dy.T @ self.pooled
        self.store.gradients["fc.bias"] = dy.sum(0)
        n, h, w, c = self.shape
        dx = (dy @ self.store.values["fc.weight"])[:, None, None] / np.float32(h * w)
        return np.broadcast_to(dx, self.shape)


def resnet8(store, rng, channels=(16, 32, 64), classes=10):
    """One input channel, 3x3 stem, one basic block a stage. Parameters already in the store are kept."""
    c = channels[0]
    layers = [Conv(store, rng, "conv1", 1, c, 3, 1, 1), BatchNorm(store, "bn1", c), Relu()]
    for stage, oc in enumerate(channels):
        layers.append(Block(store, rng, f"layer{stage + 1}.0", c, oc, 1 if stage == 0 else 2))
        c = oc
    return Sequence(*layers, Head(store, rng, c, classes))
