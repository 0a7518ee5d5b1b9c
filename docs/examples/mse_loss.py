from torch.nn.functional import one_hot

from nas.plugins import register_loss


@register_loss("mse")
def squared_error(recipe, counts):  # gives a function of logits (N, C) and labels (N,): the loss of each image (N,)
    return lambda logits, labels: (logits - one_hot(labels, logits.shape[1])).square().mean(1)
